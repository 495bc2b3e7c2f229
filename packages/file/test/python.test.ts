import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "@jest/globals";
import { decodeKey, type Key, tuple } from "@partd/core";
import { FileStore, pythonFileName } from "@partd/file";
import { describeReal, realPart } from "tooling/real-part";
import { directories } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

/** Of the keys that Python's partd handles correctly; in Python's notation and in ours. */
const entries: readonly (readonly [string, Key, Uint8Array])[] = [
  ["'x'", "x", Uint8Array.of(1, 2, 3)],
  ["'with space (1).txt'", "with space (1).txt", Uint8Array.of(0, 255)],
  ["('a', 'b')", tuple("a", "b"), Uint8Array.of(4)],
  ["('a', 'c', 1)", tuple("a", "c", 1), Uint8Array.of(5, 10, 13)],
  ["('2024', 'JFK')", tuple("2024", "JFK"), new Uint8Array(5_000).map((_, i) => i)],
  ["'.hidden'", ".hidden", Uint8Array.of(6)],
];
const keys = entries.map(([, key]) => key);
const hex = (value: Uint8Array) => Buffer.from(value).toString("hex");

/** A directory that Python's File(...).append wrote, on Debian 12 with partd 1.3.0, in two appends. */
test("a directory that Python's partd once wrote", async () => {
  const directory = join(make(), "data");
  cpSync(fileURLToPath(new URL("fixtures/python-file", import.meta.url)), directory, {
    recursive: true,
  });
  await using store = new FileStore(directory);
  const listed: string[] = [];
  for await (const key of store.keys()) listed.push(String(key));
  expect(listed.sort()).toEqual(keys.map(String).sort());
  for (const [i, [, , value]] of entries.entries()) {
    expect(hex(await store.get(keys[i] as Key))).toBe(hex(value) + hex(value));
  }
});

test("keys that Python keeps nowhere, or elsewhere, have no file", () => {
  expect(pythonFileName(["one"])).toBe("one");
  expect(pythonFileName(tuple("a!", 1))).toBe("a/1");
  expect(pythonFileName("price (€)")).toBe("price ()");
  for (const key of ["", "!", "..", "../x", "/x", ".partd", "a/", "a//b", ["a", "/b"], ["a", ""]]) {
    expect(() => pythonFileName(key)).toThrow("no file of its own");
  }
});

const python = realPart.python("partd");
describeReal(python, "Python's partd", () => {
  function run(program: string): string {
    const { status, stdout, stderr } = spawnSync(python.command as string, ["-"], {
      encoding: "utf8",
      input: `from partd import File\n${program}`,
    });
    if (status !== 0) throw new Error(stderr);
    return stdout;
  }
  const literal = (value: Uint8Array) => `bytes.fromhex('${hex(value)}')`;
  const dict = entries.map(([key, , value]) => `${key}: ${literal(value)}`).join(", ");
  const list = entries.map(([key]) => key).join(", ");

  test("what it wrote is found by the file names it uses", async () => {
    const directory = make();
    const odd = ["price (€)!", "a+b", "ü", "x/y", "tab\there", ["one"], ["p", "q?", 3], "%41"];
    const named = odd.filter((key) => key !== "ü");
    run(`
store = File(${JSON.stringify(directory)})
for key in ${JSON.stringify(named)}:
    key = tuple(key) if isinstance(key, list) else key
    store.append({key: repr(key).encode()})
`);
    await using store = new FileStore(directory);
    for (const key of named) {
      const value = await store.get(decodeKey(pythonFileName(key)));
      const first = typeof key === "string" ? key : String(key[0]);
      expect(Buffer.from(value).toString().replace("\\t", "\t")).toContain(first);
    }
    expect(() => pythonFileName("ü")).toThrow("no file of its own");
  });

  test("reads what we write", async () => {
    const directory = make();
    await using store = new FileStore(directory);
    for (const [, key, value] of entries) await store.append([[key, value]]);
    await store.append(entries.map(([, key, value]) => [key, value] as const));
    await store.close();
    const values = run(
      `for value in File(${JSON.stringify(directory)}).get([${list}]): print(value.hex())`,
    );
    expect(values.trim().split("\n")).toEqual(
      entries.map(([, , value]) => hex(value) + hex(value)),
    );
  });

  test("writes what we read, list, add to and remove", async () => {
    const directory = join(make(), "data");
    const open = `p = File(${JSON.stringify(directory)})\n`;
    run(`${open}p.append({${dict}})`);
    await using store = new FileStore(directory);
    expect((await store.get(keys)).map(hex)).toEqual(entries.map(([, , value]) => hex(value)));
    const listed: string[] = [];
    for await (const key of store.keys()) listed.push(String(key));
    expect(listed.sort()).toEqual(keys.map(String).sort());
    // In turn, with our store open all the while.
    for (let round = 0; round < 3; round++) {
      await store.append(entries.map(([, key, value]) => [key, value] as const));
      run(`${open}p.append({${dict}})`);
    }
    for (const [i, value] of (await store.get(keys)).entries()) {
      const wanted = Buffer.concat(Array.from({ length: 7 }, () => entries[i]![2]));
      expect(Buffer.compare(value, wanted)).toBe(0);
    }
    run(`${open}p.delete(['x', ('a', 'b')])`);
    await store.append({ x: Uint8Array.of(9) });
    expect(hex(await store.get("x"))).toBe("09");
    expect(hex(await store.get(tuple("a", "b")))).toBe("");
    await store.delete("x");
    expect(run(`${open}print(p.get('x'), p.get(('a', 'c', '1'))[:1])`)).toBe("b'' b'\\x05'\n");
    run(`${open}p.drop()`);
    expect((await store.get("x")).byteLength).toBe(0);
    await store.append({ x: Uint8Array.of(8) });
    expect(readFileSync(join(directory, "x"))).toEqual(Buffer.of(8));
    expect(existsSync(join(directory, ".partd"))).toBe(true);
  });
});
