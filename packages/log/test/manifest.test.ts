import { spawnSync } from "node:child_process";
import { appendFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
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
}, 60_000);

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
}, 60_000);

test("a line that was cut short goes when it can have listed nothing that is there", async () => {
  const directory = await scattered(3);
  appendFileSync(manifestOf(directory), "\n0123abcd segm");
  await using store = new LogStore(directory);
  expect((await store.verify()).damage).toHaveLength(1);
  await store.compact();
  expect((await store.verify()).damage).toEqual([]);
  expect(text(await store.get("x"))).toBe(counted(3));
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
  }, 120_000);
}
