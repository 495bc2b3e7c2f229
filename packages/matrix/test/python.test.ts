import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "@jest/globals";
import { MsgPack } from "@partd/codec-msgpack";
import { DtypeArray, NdArray, ndarray } from "@partd/codec-ndarray";
import { Pickle, PyDateTime, pyTuple } from "@partd/codec-pickle";
import { Text } from "@partd/codec-text";
import { BZ2 } from "@partd/compress-bz2";
import { Snappy } from "@partd/compress-snappy";
import { ZLib } from "@partd/compress-zlib";
import type { Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { describeReal, realPart } from "tooling/real-part";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "partd-python-"));
  folders.push(made);
  return made;
}

// The same values as in interop.py, each of which is appended twice.
const lists = {
  plain: [
    ...[null, true, 1, -1, 2 ** 40, 2n ** 60n, 0.5, "Grüße 🌍", Uint8Array.of(0, 255)],
    ...[[1, [2]], { a: { b: 1 } }],
  ],
  many: Array.from({ length: 3000 }, (_, i) => i),
};
const pickles = {
  ...lists,
  python: [
    ...[pyTuple(1, pyTuple(2, "x")), new Map([[1, "one"]]), new Set([1, 2])],
    ...[2n ** 100n, -(2n ** 70n)],
    new PyDateTime(Date.UTC(2001, 0, 14, 21, 55, 1, 234), { microsecond: 567 }),
    new Date(Date.UTC(2001, 0, 14, 21, 55)),
  ],
};
const arrays = {
  i1: Int8Array.of(-1, 2),
  u1: Uint8Array.of(255, 2),
  i2: Int16Array.of(-1, 2),
  u2: Uint16Array.of(65_535, 2),
  i4: Int32Array.of(-1, 2),
  u4: Uint32Array.of(2 ** 32 - 1, 2),
  i8: BigInt64Array.of(-(2n ** 63n), 2n),
  u8: BigUint64Array.of(2n ** 64n - 1n, 2n),
  f2: ndarray("float16", Float32Array.of(0.5, -2)),
  f4: Float32Array.of(0.5, -2),
  f8: Float64Array.of(0.1, -2),
  "big-f8": ndarray(">f8", Float64Array.of(0.1, -2)),
  "big-i4": ndarray(">i4", Int32Array.of(-1, 2)),
  bool: ndarray("bool", Uint8Array.of(1, 0)),
  c8: ndarray("complex64", Float32Array.of(1, -2)),
  c16: ndarray("complex128", Float64Array.of(1, -2)),
  M8: ndarray("datetime64[ns]", BigInt64Array.of(979_509_300_123_456_789n)),
  m8: ndarray("timedelta64[s]", BigInt64Array.of(90n, -1n)),
  object: ["a", null, "Grüße", 1.5],
};
const text = { text: "Grüße 🌍\n" };

type Tower = readonly [
  name: string,
  store: Store<never>,
  values: Readonly<Record<string, unknown>>,
];

function towers(directory: string): readonly Tower[] {
  const file = (name: string) => new FileStore(join(directory, name));
  return [
    ["pickle-bz2", new Pickle(new BZ2(file("pickle-bz2"))), pickles],
    ["pickle", new Pickle(file("pickle")), pickles],
    ["msgpack-snappy", new MsgPack(new Snappy(file("msgpack-snappy"))), lists],
    ["msgpack", new MsgPack(file("msgpack")), lists],
    ["numpy-zlib", new NdArray(new ZLib(file("numpy-zlib"))), arrays],
    ["numpy", new NdArray(file("numpy")), arrays],
    ["text", new Text(file("text")), text],
  ] as unknown as readonly Tower[];
}

/** What two appends of a value read back as. */
function twice(value: unknown): unknown {
  if (typeof value === "string") return value + value;
  if (Array.isArray(value)) return [...value, ...value];
  const items = [...((value instanceof DtypeArray ? value.data : value) as Int8Array)];
  return [...items, ...items];
}

function items(value: unknown): unknown {
  if (value instanceof DtypeArray) return [...(value.data as Int8Array)];
  return ArrayBuffer.isView(value) ? [...(value as Int8Array)] : value;
}

async function checkAll(directory: string): Promise<void> {
  for (const [name, store, values] of towers(directory)) {
    const keys: string[] = [];
    for await (const key of store.keys()) keys.push(String(key));
    expect([name, keys.sort()]).toEqual([name, Object.keys(values).sort()]);
    for (const [key, value] of Object.entries(values)) {
      const read = await store.get(key);
      expect([name, key, items(read)]).toEqual([name, key, twice(value)]);
      if (value instanceof DtypeArray && (read as unknown) instanceof DtypeArray) {
        expect((read as unknown as DtypeArray).unit).toBe(value.unit);
      }
    }
    await store.close();
  }
}

async function writeAll(directory: string): Promise<void> {
  for (const [, store, values] of towers(directory)) {
    for (const [key, value] of Object.entries(values)) {
      await store.append([[key, value as never]]);
      await store.append([[key, value as never]]);
    }
    await store.close();
  }
}

test("data sets that Python's partd once wrote, with every codec", async () => {
  // By interop.py, on Debian 12: partd 1.3.0, NumPy 1.24.2, msgpack 1.0.3.
  const directory = folder();
  cpSync(fileURLToPath(new URL("fixtures/python", import.meta.url)), directory, {
    recursive: true,
  });
  await checkAll(directory);
});

const python = realPart.python("partd", "numpy", "msgpack", "snappy");
describeReal(python, "Python's partd", () => {
  function run(mode: "write" | "check", directory: string): void {
    const script = fileURLToPath(new URL("interop.py", import.meta.url));
    const { stdout, stderr } = spawnSync(python.command as string, [script, mode, directory], {
      encoding: "utf8",
    });
    if (stdout.trim() !== "done") throw new Error(stderr); // (Numpy's __del__ complains to it always.)
  }

  test("writes what we read", async () => {
    const directory = folder();
    run("write", directory);
    await checkAll(directory);
  });

  test("reads what we write", async () => {
    const directory = folder();
    await writeAll(directory);
    run("check", directory);
  });

  test("and we append to one data set in turn", async () => {
    const directory = folder();
    run("write", directory);
    const p = new Pickle(new BZ2(new FileStore(join(directory, "pickle-bz2"))));
    await p.append({ many: ["from here"] });
    const n = new NdArray(new FileStore(join(directory, "numpy")));
    await n.append({ "big-f8": Float64Array.of(7) });
    await Promise.all([p.close(), n.close()]);
    const { stdout } = spawnSync(
      python.command as string,
      [
        "-c",
        `import partd; d = ${JSON.stringify(directory)}
print(partd.Pickle(partd.BZ2(partd.File(d + "/pickle-bz2"))).get("many")[-2:])
print(partd.Numpy(partd.File(d + "/numpy")).get("big-f8").tolist())`,
      ],
      { encoding: "utf8" },
    );
    expect(stdout).toBe("[2999, 'from here']\n[0.1, -2.0, 0.1, -2.0, 7.0]\n");
  });

  test("shares lists that MessagePack cannot carry, as pickles, with MsgPack", async () => {
    const directory = folder();
    const run = (program: string) =>
      spawnSync(python.command as string, [
        "-c",
        `import partd; p = partd.Python(partd.File(${JSON.stringify(directory)})); ${program}`,
      ]);
    run('p.append({"x": [{1, 2}]})');
    await using p = new MsgPack(new FileStore(directory));
    expect(await p.get("x")).toEqual([new Set([1, 2])]);
    await p.append({ x: [1, 2n ** 70n] });
    await p.append({ x: ["text"] });
    await p.close();
    const { stdout } = run('print(p.get("x"))');
    expect(String(stdout).trim()).toBe(`[{1, 2}, 1, ${2n ** 70n}, 'text']`);
  });

  test("reads a Map of keys that Python's msgpack does not read", async () => {
    const directory = folder();
    await using p = new MsgPack(new FileStore(directory));
    const maps = [new Map([[1, 2]]), { a: new Map([[null, 3]]) }, new Map([["b", 4]])];
    await p.append({ x: maps });
    await using array = new NdArray(new FileStore(join(directory, "array")));
    await array.append({ x: maps });
    await Promise.all([p.close(), array.close()]);
    const { stdout } = spawnSync(python.command as string, [
      "-c",
      `import partd; d = ${JSON.stringify(directory)}; print(partd.Python(partd.File(d)).get("x")); print(list(partd.Numpy(partd.File(d + "/array")).get("x")))`,
    ]);
    const read = "[{1: 2}, {'a': {None: 3}}, {'b': 4}]";
    expect(String(stdout).trim()).toBe(`${read}\n${read}`);
  });
});
