import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
import { LogStore } from "@partd/log";
import { RECORD_HEAD } from "../src/format/layout.js";
import { asAfterCrash, lineOf } from "./after-crash.js";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next, copyOf } = directories();

const KEYS = ["a", "b", "c", "d"];
const BATCHES: Record<string, string>[] = [
  { a: "one", b: "two" },
  { a: "three", c: "four" },
  { b: "five" },
  { d: "x".repeat(4200), a: "six" },
  { c: "seven", d: "eight" },
];

/** What each key holds after the first `count` batches. */
function state(count: number, batches = BATCHES): string[] {
  return KEYS.map((key) =>
    batches
      .slice(0, count)
      .map((batch) => batch[key] ?? "")
      .join(""),
  );
}

/** A data set of the batches; without `close` as a killed process leaves it. */
async function written(closed: boolean, batches = BATCHES): Promise<string> {
  const directory = next();
  const store = new LogStore(directory);
  for (const batch of batches) {
    await store.append(Object.entries(batch).map(([key, value]) => [key, bytes(value)] as const));
  }
  const copy = closed ? directory : asAfterCrash(copyOf(directory));
  await store.close();
  return copy;
}

async function read(directory: string): Promise<string[]> {
  await using store = new LogStore(directory);
  return (await store.get(KEYS)).map(text);
}

describe("a segment that is cut short", () => {
  test("at every byte, after a crash: a prefix of whole batches", async () => {
    const directory = await written(false);
    const [segment = ""] = filesOf(directory, ".seg");
    const whole = readFileSync(segment);
    const states = BATCHES.map((_, i) => JSON.stringify(state(i))).concat(
      JSON.stringify(state(BATCHES.length)),
    );
    let held = -1;
    const manifest = join(directory, ".partd-log", "manifest");
    const listed = readFileSync(manifest);
    for (let length = 0; length <= whole.length; length += step(length, whole.length)) {
      writeFileSync(segment, whole.subarray(0, length));
      const prefix = states.indexOf(JSON.stringify(await read(directory)));
      expect(prefix).toBeGreaterThanOrEqual(held);
      held = prefix;
      // What close has written goes.
      writeFileSync(manifest, listed);
      for (const path of filesOf(directory, ".idx")) rmSync(path);
    }
    expect(held).toBe(BATCHES.length);
  });

  test("at every byte, after close: never a shorter answer, nor a compact that hides it", async () => {
    const directory = await written(true);
    const [segment = ""] = filesOf(directory, ".seg");
    const whole = readFileSync(segment);
    const index = filesOf(directory, ".idx").map((path) => [path, readFileSync(path)] as const);
    for (let length = 0; length < whole.length; length += step(length, whole.length)) {
      for (const indexed of [true, false]) {
        writeFileSync(segment, whole.subarray(0, length));
        for (const [path, bytes] of index) indexed ? writeFileSync(path, bytes) : rmSync(path);
        await using store = new LogStore(directory);
        await expect(store.get(KEYS)).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
        await expect(store.compact()).rejects.toMatchObject({
          code: "ERR_PARTD_CORRUPT",
          message: expect.not.stringContaining("faulty software"),
        });
        expect((await store.verify()).damage).not.toEqual([]);
      }
    }
    await using salvaging = new LogStore(directory, { salvage: true });
    expect(text(await salvaging.get("b"))).toBe("twofive");
  });

  test("goes on to be written to, in another segment", async () => {
    const directory = await written(false);
    const [segment = ""] = filesOf(directory, ".seg");
    truncateSync(segment, readFileSync(segment).length - 1);
    await using store = new LogStore(directory);
    await store.append({ a: bytes("!") });
    expect(text(await store.get("a"))).toBe(`${state(4)[0]}!`);
    const report = await store.verify();
    expect(report.damage).toEqual([]);
    expect(report.torn).toHaveLength(1);
  });
});

/** Every byte, but for those amid the 4,200 alike ones. */
function step(at: number, length: number): number {
  return at > 450 && at < length - 300 ? 97 : 1;
}

describe("a manifest", () => {
  const shown = JSON.stringify(state(BATCHES.length));

  /** A data set of two finished segments and one whose writer was killed. */
  async function several(): Promise<string> {
    const directory = next();
    for (const some of [BATCHES.slice(0, 2), BATCHES.slice(2, 4)]) {
      await using store = new LogStore(directory);
      for (const batch of some) {
        await store.append(Object.entries(batch).map(([k, v]) => [k, bytes(v)] as const));
      }
    }
    await using store = new LogStore(directory);
    const last = Object.entries(BATCHES[4] ?? {});
    await store.append(last.map(([k, v]) => [k, bytes(v)] as const));
    return asAfterCrash(copyOf(directory));
  }

  test("that is cut short at any byte: all values, or an error", async () => {
    const directory = await several();
    const path = join(directory, ".partd-log", "manifest");
    const whole = readFileSync(path);
    let refused = 0;
    for (let length = 0; length < whole.length; length++) {
      const copy = copyOf(directory);
      truncateSync(join(copy, ".partd-log", "manifest"), length);
      try {
        expect(JSON.stringify(await read(copy))).toBe(shown);
      } catch (error) {
        if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
        refused++;
      }
      rmSync(copy, { recursive: true });
    }
    expect(refused).toBeGreaterThan(whole.length / 2);
  });

  test("that is missing: an error that says what to do, and salvage reads all segments", async () => {
    const directory = await several();
    rmSync(join(directory, ".partd-log"), { recursive: true });
    const before = readdirSync(directory).length;
    const store = new LogStore(directory);
    for (const operation of [() => store.get("a"), () => store.drop(), () => store.verify()]) {
      await expect(operation()).rejects.toMatchObject({
        code: "ERR_PARTD_CORRUPT",
        message: expect.stringMatching(/manifest is missing.*salvage: true/),
      });
    }
    await store.close().catch(() => {});
    expect(readdirSync(directory).filter((name) => !name.startsWith("."))).toHaveLength(before);
    const salvaging = new LogStore(directory, { salvage: true });
    const values = (await salvaging.get(KEYS)).map(text);
    expect(values.map((value) => value.length)).toEqual(state(BATCHES.length).map((v) => v.length));
    await salvaging.close();
  });

  test("whose lines name what is not an id, number or token: an error, and no file is touched", async () => {
    const directory = await written(true);
    const outside = next();
    writeFileSync(`${outside}.seg`, "not ours");
    const id = "0123456789abcdef";
    const lines = [
      `segment ../${outside.split("/").pop()} 1-1-1-gone`,
      `segment ${id} ../x`,
      `segment ${id.slice(1)} 1-1-1-gone`,
      `compacted 0 ../${outside.split("/").pop()}:64 -`,
      `compacted 1e99 - -`,
      `finished ${id} -1 5`,
      `finished ${id} 99999999999999999999 5`,
      "drop",
      "segment",
      "",
      "dropped 1",
    ];
    for (const line of lines) {
      const copy = copyOf(directory);
      writeFileSync(join(copy, ".partd-log", "manifest"), `\n${lineOf(line)}\n`, { flag: "a" });
      const store = new LogStore(copy);
      await expect(store.get("a")).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
      await expect(store.drop()).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
      await store.close().catch(() => {});
      expect(filesOf(copy, ".seg")).toHaveLength(1);
    }
    expect(readFileSync(`${outside}.seg`, "latin1")).toBe("not ours");
  });
});

describe("a flipped bit", () => {
  const cases = [
    { name: "in a segment, with its index", closed: true, ending: ".seg", index: true },
    { name: "in a segment without an index", closed: true, ending: ".seg", index: false },
    { name: "in an index", closed: true, ending: ".idx", index: true },
  ];
  for (const { name, ending, index } of cases) {
    test(`${name} is found, and never read as bytes`, async () => {
      const batches = BATCHES.slice(0, 3);
      const directory = await written(true, batches);
      if (!index) for (const path of filesOf(directory, ".idx")) rmSync(path);
      const [path = ""] = filesOf(directory, ending);
      const whole = readFileSync(path);
      const expected = state(batches.length);
      let readable = 0;
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const damaged = Buffer.from(whole);
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        writeFileSync(path, damaged);
        const store = new LogStore(directory);
        const { damage } = await store.verify();
        if (damage.length === 0) throw new Error(`bit ${bit} of ${whole.length * 8} is not found`);
        for (const [i, key] of KEYS.entries()) {
          try {
            const value = text(await store.get(key));
            if (value !== expected[i]) throw new Error(`bit ${bit} makes ${key} ${value}`);
            readable++;
          } catch (error) {
            if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
          }
        }
        // An index that cannot be used is made anew at close; here it has to stay.
        if (ending === ".idx") writeFileSync(path, whole);
        await store.close();
        if (!index) for (const made of filesOf(directory, ".idx")) rmSync(made);
      }
      expect(readable).toBeGreaterThan(0);
    });
  }

  test("in the manifest is found, and loses nothing unsaid", async () => {
    const directory = await written(true);
    const path = join(directory, ".partd-log", "manifest");
    const whole = readFileSync(path);
    const expected = state(BATCHES.length);
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(path, damaged);
      const store = new LogStore(directory);
      try {
        const { damage } = await store.verify();
        if (damage.length === 0) throw new Error(`bit ${bit} is not found`);
        expect((await store.get(KEYS)).map(text)).toEqual(expected);
      } catch (error) {
        if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
      }
      await store.close();
    }
  });

  test("leaves the keys of other records readable, and names those it concerns", async () => {
    const directory = await written(true);
    const [path = ""] = filesOf(directory, ".seg");
    const damaged = readFileSync(path);
    damaged[damaged.indexOf("four")]! ^= 1;
    writeFileSync(path, damaged);
    await using store = new LogStore(directory);
    const { damage } = await store.verify();
    // Small values of one batch share a checksum.
    expect(damage).toEqual([
      expect.objectContaining({ path, keys: ["a", "c"], length: "threefour".length }),
    ]);
    const expected = state(BATCHES.length);
    expect((await store.get(["b", "d"])).map(text)).toEqual([expected[1], expected[3]]);
    for (const key of ["a", "c"]) {
      await expect(store.get(key)).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", key, path });
    }
    await expect(store.compact()).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
    expect(text(await store.get("b"))).toBe(expected[1]);
  });

  test("in what says which keys there are: salvage reads the rest", async () => {
    const directory = await written(true);
    for (const path of filesOf(directory, ".idx")) rmSync(path);
    const [path = ""] = filesOf(directory, ".seg");
    const damaged = readFileSync(path);
    const five = damaged.indexOf("five");
    damaged[five - 8]! ^= 1;
    writeFileSync(path, damaged);
    const strict = new LogStore(directory);
    await expect(strict.get("a")).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path });
    await strict.close();
    await using store = new LogStore(directory, { salvage: true });
    const [a, , c, d] = state(BATCHES.length);
    expect((await store.get(["a", "c", "d"])).map(text)).toEqual([a, c, d]);
    expect(text(await store.get("b"))).toBe("two");
    // What is left can be made a whole data set of.
    await store.compact();
    expect((await store.verify()).damage).toEqual([]);
    await store.close();
    await using whole = new LogStore(directory);
    expect((await whole.get(KEYS)).map(text)).toEqual([a, "two", c, d]);
  });

  test("in what says which keys there are: told to every key, with what to do", async () => {
    const directory = await written(false);
    const [path = ""] = filesOf(directory, ".seg");
    const damaged = readFileSync(path);
    const offset = damaged.indexOf("recd");
    damaged[offset + RECORD_HEAD]! ^= 1;
    writeFileSync(path, damaged);
    await using store = new LogStore(directory);
    for (const key of [...KEYS, "never written"]) {
      await expect(store.get(key)).rejects.toMatchObject({
        code: "ERR_PARTD_CORRUPT",
        path,
        offset,
        message: expect.stringContaining("salvage"),
      });
    }
    await store.append({ e: bytes("appends go on") });
    await using salvaging = new LogStore(directory, { salvage: true });
    expect(text(await salvaging.get("e"))).toBe("appends go on");
    expect(text(await salvaging.get("b"))).toBe(""); // "b" was defined in what is damaged.
  });
});

test.each([
  [".seg", "ERR_PARTD_CORRUPT"],
  [".idx", "read"], // The segment has it all.
])("a named pipe in the place of a file %s is not waited for", async (suffix, answer) => {
  const directory = await written(true);
  const name = readdirSync(directory).find((each) => each.endsWith(suffix)) as string;
  rmSync(join(directory, name));
  execFileSync("mkfifo", [join(directory, name)]);
  // In a process of its own: the system would never let this one go on.
  const program = `
    import { LogStore } from "@partd/log";
    const store = new LogStore(process.argv[1]);
    try { await store.get("a"); console.log("read"); } catch (error) { console.log(error.code); }
    process.exit();`;
  const { stdout } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", program, directory],
    { encoding: "utf8", timeout: 200_000, killSignal: "SIGKILL" },
  );
  expect(stdout.trim()).toBe(answer);
});

test("a file of a newer version is refused", async () => {
  const directory = await written(true);
  const path = join(directory, ".partd-log", "manifest");
  writeFileSync(path, readFileSync(path, "latin1").replace("partd-log 1\n", "partd-log 2\n"));
  await using store = new LogStore(directory);
  await expect(store.get("a")).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    message: expect.stringContaining("version 2"),
  });
});

test.each([
  ["empty", Buffer.alloc(0)],
  ["of zeros", Buffer.alloc(4096)],
])(
  "a manifest that a loss of power left %s is said to be so, and made again by salvage",
  async (_, left) => {
    const directory = next();
    {
      await using store = new LogStore(directory);
      await store.append({ x: bytes("1"), y: bytes("2") });
    }
    const manifest = join(directory, ".partd-log", "manifest");
    writeFileSync(manifest, left);
    await using refused = new LogStore(directory);
    await expect(refused.get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      path: manifest,
      message: expect.stringContaining("{ salvage: true }") as unknown,
    });
    expect(readFileSync(manifest)).toEqual(left);
    {
      await using salvaged = new LogStore(directory, { salvage: true });
      expect((await salvaged.get(["x", "y"])).map(text)).toEqual(["1", "2"]);
      await salvaged.compact();
    }
    await using whole = new LogStore(directory);
    expect((await whole.get(["x", "y"])).map(text)).toEqual(["1", "2"]);
  },
);

test.each(["with its index", "without it"])("a missing segment, %s, is named", async (how) => {
  const directory = next();
  for (const value of ["1", "2"]) {
    await using store = new LogStore(directory);
    await store.append({ [`x${value}`]: bytes(value) });
  }
  const isLost = (path: string) => readFileSync(path).includes("x1");
  const [lost = ""] = filesOf(directory, ".seg").filter(isLost);
  rmSync(lost);
  if (how === "without it") rmSync(lost.replace(/seg$/, "idx"));
  await using store = new LogStore(directory);
  const calls = [() => store.get("x1"), () => store.get("x2"), () => store.compact()];
  for (const call of calls) {
    await expect(call()).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path: lost });
  }
});
