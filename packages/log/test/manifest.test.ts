import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "@jest/globals";
import { crc32 } from "@partd/disk";
import { LogStore } from "@partd/log";
import { DataSet } from "../src/data-set/data-set.js";
import { Manifest } from "../src/data-set/manifest.js";
import { bytes, directories, filesOf, text } from "./directories.js";

const { copyOf, next } = directories();

const manifestOf = (directory: string) => join(directory, ".partd-log", "manifest");
const lengthOf = (directory: string) => statSync(manifestOf(directory)).size;

/** A data set of so many segments, one for each append. */
async function scattered(count: number, directory = next()): Promise<string> {
  await using store = new LogStore(directory, { segmentSize: 1 });
  for (let i = 0; i < count; i++) await store.append({ x: bytes(`${i},`), [`k${i}`]: bytes("1") });
  return directory;
}

const counted = (count: number) => Array.from({ length: count }, (_, i) => `${i},`).join("");

test("the manifest is condensed when most of it is of the past, and all stores go on with it", async () => {
  const directory = await scattered(50);
  await using one = new LogStore(directory);
  await using other = new LogStore(directory);
  let expected = counted(50);
  for (const store of [other, one, other]) {
    await store.append({ x: bytes("a") });
    expected += "a";
  }
  for (let round = 0; round < 3; round++) {
    const before = lengthOf(directory);
    await one.compact();
    expect(lengthOf(directory)).toBeLessThan(before / 4);
    for (const store of [other, one, other]) {
      await store.append({ x: bytes("b") });
      expected += "b";
      for (const reader of [one, other]) expect(text(await reader.get("x"))).toBe(expected);
    }
    await using fresh = new LogStore(directory);
    expect(text(await fresh.get("x"))).toBe(expected);
    expect((await fresh.verify()).damage).toEqual([]);
    await scattered(50, directory);
    expected += counted(50);
  }
  await other.delete("x");
  expect(text(await one.get("x"))).toBe("");
  await one.drop();
  expect(lengthOf(directory)).toBeLessThan(200);
  await other.append({ x: bytes("1") });
  await one.append({ x: bytes("2") });
  for (const store of [one, other]) expect(text(await store.get("x"))).toBe("12");
  await one.close();
  await other.close();
  await using fresh = new LogStore(directory);
  expect(text(await fresh.get("x"))).toBe("12");
});

test("appends that were made before it was condensed come before those made after it", async () => {
  const directory = await scattered(40);
  await using one = new LogStore(directory);
  await using other = new LogStore(directory);
  let expected = counted(40);
  for (let i = 0; i < 60; i++) {
    await (i % 3 ? one : other).append({ x: bytes(`${i};`) });
    expected += `${i};`;
    if (i % 20 === 19) {
      await (i % 40 === 19 ? one : other).compact();
      await scattered(40, directory);
      expected += counted(40);
    }
  }
  await using fresh = new LogStore(directory);
  expect(text(await fresh.get("x"))).toBe(expected);
});

test("a manifest that is longer than any is refused before it is read", async () => {
  const path = manifestOf(await scattered(1));
  truncateSync(path, 2 ** 40);
  await using store = new LogStore(dirname(dirname(path)));
  await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path });
});

test("a long manifest is read a piece at a time", async () => {
  const directory = await scattered(2);
  const lines: string[] = [];
  for (let i = 0; i < 20_000; i++) {
    const id = i.toString(16).padStart(16, "0");
    for (const line of [`segment ${id} 1-1-1-gone`, "seal"]) {
      lines.push(`\n${crc32(Buffer.from(line)).toString(16).padStart(8, "0")} ${line}\n`);
    }
    lines.push("\nx\n");
  }
  appendFileSync(manifestOf(directory), lines.join(""));
  const dataSet = new DataSet(directory);
  const { news } = dataSet.manifest;
  let most = 0;
  dataSet.manifest.news = () => {
    const entries = news.call(dataSet.manifest);
    most = Math.max(most, entries.length);
    return entries;
  };
  await dataSet.load();
  expect(most).toBeLessThan(15_000);
  expect(dataSet.segments).toHaveLength(20_002);
  expect(dataSet.segments.filter(({ sealed }) => !sealed)).toEqual([]);
  expect(dataSet.manifest.damaged).toHaveLength(1000);
  expect(dataSet.list.find("0000000000004e1f")).toBe(dataSet.segments.at(-1));
  await dataSet.close();
});

test("a line longer than what is read at a time counts, and one that ends where that ends", async () => {
  const path = manifestOf(await scattered(1));
  const manifest = new Manifest(path);
  while (manifest.hasUnread) manifest.news();
  const ids = Array.from({ length: 40_000 }, (_, i) => i.toString(16).padStart(16, "0"));
  const line = ["compacted", "0", "-", ids.join(",")] as const;
  for (const [written, isLast] of [
    [line, false],
    [["seal"] as const, true],
  ] as const) {
    manifest.add([written], false);
    const found: unknown[] = [];
    while (manifest.hasUnread) found.push(...manifest.news());
    expect([found, isLast]).toEqual([[written], isLast]);
  }
  // Slices end at every place of a line.
  const room = 2 ** 18;
  for (let rest = 0; rest < 20; rest++) {
    const bytes = Buffer.alloc(room - rest, "\n");
    appendFileSync(path, bytes);
    manifest.add([["seal"], ["drop", "7"]], false);
    const found: unknown[] = [];
    while (manifest.hasUnread) found.push(...manifest.news());
    expect(found).toEqual([["seal"], ["drop", "7"]]);
  }
  manifest.close();
});

test("a manifest that is full takes no segment, and can be compacted", async () => {
  const directory = await scattered(2);
  appendFileSync(manifestOf(directory), Buffer.alloc(2 ** 25, `\n${"x".repeat(998)}\n`));
  await using store = new LogStore(directory);
  const refused = store.append({ x: bytes("more") });
  await expect(refused).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
  expect(text(await store.get("x"))).toBe(counted(2));
  await store.compact();
  await store.append({ x: bytes("more") });
  expect(text(await store.get("x"))).toBe(`${counted(2)}more`);
  expect(lengthOf(directory)).toBeLessThan(1000);
});

test("a line that was cut short goes when it can have listed nothing that is there", async () => {
  const directory = await scattered(3);
  appendFileSync(manifestOf(directory), "\n0123abcd segm");
  await using store = new LogStore(directory);
  expect(await store.verify()).toMatchObject({ damage: [], torn: { length: 1 } });
  await store.compact();
  expect(await store.verify()).toMatchObject({ damage: [], torn: [] });
  expect(text(await store.get("x"))).toBe(counted(3));
});

test("a manifest that was cut is damage wherever a segment may have been named behind the cut", async () => {
  const directory = await scattered(3);
  const whole = readFileSync(manifestOf(directory));
  let torn = 0;
  for (let length = whole.indexOf("\n") + 1; length < whole.length; length += 7) {
    writeFileSync(manifestOf(directory), whole.subarray(0, length));
    await using store = new LogStore(directory);
    const report = await store.verify();
    const value = await store.get("x").then(text, ({ code }: { code: string }) => code);
    expect([length, value]).toEqual([
      length,
      report.damage.length > 0 ? "ERR_PARTD_CORRUPT" : counted(3),
    ]);
    torn += report.torn.length;
  }
  expect(torn).toBeGreaterThan(0);
});

test("a line that lacks its last byte alone does not come true with the next one", async () => {
  const directory = await scattered(3);
  const line = "drop 1000";
  const sum = crc32(Buffer.from(line)).toString(16).padStart(8, "0");
  appendFileSync(manifestOf(directory), `\n${sum} ${line}`);
  await using store = new LogStore(directory);
  await store.append({ x: bytes("3,") });
  await using other = new LogStore(directory);
  for (const one of [store, other]) expect(text(await one.get("x"))).toBe(counted(4));
});

test("beside a line that was cut short, a segment that is new or was compacted is no loss", async () => {
  const directory = await scattered(1);
  const [path = ""] = filesOf(directory, ".seg");
  const compacted = readFileSync(path);
  await using store = new LogStore(directory);
  await store.compact();
  appendFileSync(manifestOf(directory), "\n0123abcd segm");
  writeFileSync(path, compacted); // As after a kill before it was removed.
  const dataSet = new DataSet(directory);
  await dataSet.refresh();
  dataSet.checkReadable();
  await store.append({ x: bytes("1,") });
  dataSet.checkReadable();
  await dataSet.close();
  await using other = new LogStore(directory);
  expect(text(await other.get("x"))).toBe(counted(2));
});

test("of lines that the old manifest gets while a new one takes its place, those that need no lease are in both", async () => {
  const path = manifestOf(await scattered(1));
  const [stalled, other] = [new Manifest(path), new Manifest(path)];
  other.news();
  const line = ["finished", "0123456789abcdef", "64", "64"] as const;
  const late = ["segment", "0123456789abcdef", "1-1-1-late"] as const;
  other.replace([["seal"]], () => stalled.add([late, line], false));
  expect(stalled.isReplaced).toBe(true);
  expect(stalled.reopen()).toEqual([["seal"], line]);
  expect(other.news()).toEqual([line]);
  for (const one of [stalled, other]) one.close();
});

test("a manifest of a store that was passed over takes no one's place", async () => {
  const path = manifestOf(await scattered(1));
  const [stalled, other] = [new Manifest(path), new Manifest(path)];
  stalled.news();
  const before = readFileSync(path);
  expect(() => stalled.replace([["seal"]], () => other.removeDrafts())).toThrow("ENOENT");
  expect(readFileSync(path)).toEqual(before);
  for (const one of [stalled, other]) one.close();
});

for (const operation of ["compact", "drop"]) {
  test(`${operation} that fails or is killed at each call for a new manifest loses nothing`, async () => {
    const start = await scattered(40);
    const expected = operation === "drop" ? "" : counted(40);
    const program = join(import.meta.dirname, "condense.mjs");
    const calls: string[] = [];
    const run = (directory: string, call: number, how: string) => {
      const args = [program, directory, operation, String(call), how];
      return spawnSync(process.execPath, args, { encoding: "utf8" });
    };
    const check = async (directory: string, added: string) => {
      await using store = new LogStore(directory);
      expect(text(await store.get("x"))).toBe(expected + added);
      expect((await store.verify()).damage).toEqual([]);
      await store.append({ x: bytes("after") });
      await store.compact();
      expect(text(await store.get("x"))).toBe(`${expected}${added}after`);
      expect(lengthOf(directory)).toBeLessThan(1000);
      expect(readdirSync(join(directory, ".partd-log")).sort()).toEqual(
        ["compact", "lock", "manifest", "reserve"].sort(),
      );
      expect(filesOf(directory, ".seg").length).toBeLessThan(3);
    };
    for (let call = 1; ; call++) {
      const failed = copyOf(start);
      const { stdout, stderr } = run(failed, call, "fail");
      if (stdout.startsWith("done")) break;
      expect([call, stdout, stderr]).toEqual([call, `failed ${expected}!\n`, ""]);
      await check(failed, "!");
      const killed = copyOf(start);
      const { signal, stdout: name } = run(killed, call, "kill");
      expect(signal).toBe("SIGKILL");
      calls.push(name.trim());
      await check(killed, "");
      if (name.trim() !== "write") continue;
      const torn = copyOf(start);
      expect(run(torn, call, "torn").signal).toBe("SIGKILL");
      await check(torn, "");
    }
    expect(calls).toEqual(
      expect.arrayContaining(["open", "write", "fdatasync", "rename", "fsync"]),
    );
  });
}

test.each([0, 100])(
  "of stores that find a manifest of %i zeros at once, none takes a line from another",
  async (zeros) => {
    const path = manifestOf(await scattered(1));
    writeFileSync(path, Buffer.alloc(zeros));
    const line = ["segment", "0123456789abcdef", "1-1-1-one"] as const;
    const opened: Manifest[] = [];
    const makeOther = () => {
      const other = new Manifest(path);
      opened.push(other);
      other.add([line], false);
      return other;
    };
    opened.push(
      new Manifest(path, () => {
        makeOther(); // After this one has seen that the file is blank.
        return [];
      }),
    );
    for (const one of opened) {
      expect(one.isReplaced).toBe(false);
      expect(one.news()).toEqual([line]);
      expect(one.damaged).toEqual([]);
    }
    writeFileSync(path, Buffer.alloc(zeros));
    opened.push(
      new Manifest(path, () => {
        makeOther();
        throw new Error("there are segments"); // Those of the other.
      }),
    );
    expect(opened.at(-1)?.news()).toEqual([line]);
    for (const one of opened) one.close();
  },
);

test("stores that salvage a data set without a manifest at once list each segment once", async () => {
  const directory = await scattered(3);
  writeFileSync(manifestOf(directory), "");
  const stores = [0, 1, 2].map(() => new LogStore(directory, { salvage: true }));
  const values = await Promise.all(stores.map((store) => store.get("x")));
  expect(values.map(text).map((value) => [...value].sort().join(""))).toEqual(
    stores.map(() => [...counted(3)].sort().join("")),
  );
  for (const store of stores) await store.close();
});
