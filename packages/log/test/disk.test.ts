import { constants } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { crc32 } from "@partd/disk";
import { LogStore } from "@partd/log";
import { DataSet } from "../src/data-set/data-set.js";
import type { Segment } from "../src/data-set/segment.js";
import {
  headSeed,
  LONGEST_ENTRY,
  PIECE,
  RECORD_HEAD,
  SEGMENT_HEADER,
  segmentHeader,
  writeHead,
  writeVarint,
} from "../src/format/layout.js";
import { directories, filesOf, text } from "./directories.js";

const { next } = directories();

test("a disk that is full in mid-record: the append rejects, the data is as before, the next succeeds", () => {
  // A limit on the length of files stands for the full disk; it is lifted again half-way.
  const directory = next();
  const words = [process.execPath, join(import.meta.dirname, "full-disk.mjs"), directory];
  const out = execFileSync("bash", [
    "--norc",
    "-c",
    `trap '' XFSZ; ulimit -f 64; exec "$@"`,
    "bash",
    ...words,
  ]);
  expect(JSON.parse(String(out))).toEqual([
    "ERR_PARTD_IO",
    "EFBIG",
    5,
    0,
    "ERR_PARTD_IO",
    "EFBIG",
    5,
    0,
    "smallsmall",
  ]);
});

test("the space that a failed append has taken is free when it rejects", () => {
  const words = [process.execPath, join(import.meta.dirname, "given-back.mjs"), next()];
  const out = execFileSync("bash", [
    "--norc",
    "-c",
    `trap '' XFSZ; ulimit -f 1024; exec "$@"`,
    "bash",
    ...words,
  ]);
  expect(JSON.parse(String(out))).toEqual(["ERR_PARTD_IO", true, "123", "123", 0, 0, "1234"]);
});

test("the clock does not go back when the space of a failed append is given back", async () => {
  const directory = next();
  await using failing = new LogStore(directory);
  await failing.append({ x: Buffer.from("1") });
  const [path = ""] = filesOf(directory, ".seg");
  truncateSync(path, 2 ** 20); // As a failed append leaves it.
  await using between = new LogStore(directory);
  await between.append({ x: Buffer.from("2") });
  const dataSet = new DataSet(directory);
  await dataSet.load();
  await dataSet.refresh();
  const segment = dataSet.segments.find((one) => one.path === path) as Segment;
  segment.close();
  segment.adopt(openSync(path, "r+"));
  const reserve = join(directory, ".partd-log", "reserve");
  rmSync(reserve); // As if it was spent on this.
  await dataSet.giveBack(segment);
  await dataSet.close();
  expect(existsSync(reserve)).toBe(true);
  expect(statSync(path).size).toBe(segment.position);
  await using after = new LogStore(directory);
  await after.append({ x: Buffer.from("3") });
  expect(text(await between.get("x"))).toBe("123");
});

test("400 segments under ulimit -n 64", () => {
  const words = [process.execPath, join(import.meta.dirname, "few-files.mjs"), next()];
  const out = execFileSync("bash", ["--norc", "-c", `ulimit -n 64; exec "$@"`, "bash", ...words]);
  const { length } = Array.from({ length: 200 }, (_, i) => `${i},`).join("");
  const keys = [201, 201, 201];
  const read = [length, 1, 2 * length, 2, 2 * length];
  expect(JSON.parse(String(out))).toEqual([...read, ...keys, 2 * length, 1]);
});

test("an append waits for the descriptors of full segments that get their index", () => {
  const words = [process.execPath, join(import.meta.dirname, "scarce-files.mjs"), next()];
  const out = execFileSync("bash", ["--norc", "-c", `ulimit -n 64; exec "$@"`, "bash", ...words]);
  expect(JSON.parse(String(out))).toEqual([0, true]);
});

test("what a full disk has cut short is not damage, and all else is there", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  await store.append({ a: Buffer.from("1") });
  const [path = ""] = filesOf(directory, ".seg");
  const fd = openSync(path, "a");
  writeSync(fd, Buffer.alloc(100));
  closeSync(fd);
  await using other = new LogStore(directory);
  expect(text(await other.get("a"))).toBe("1");
});

test("values and offsets of more than 4 GiB", async () => {
  // A sparse segment: one value of 4 GiB of zeros, then a small one behind it.
  const directory = next();
  await using empty = new LogStore(directory);
  await empty.get("x");
  const id = "0123456789abcdef";
  const seed = headSeed(id);
  const file = openSync(join(directory, `${id}.seg`), "w");
  writeSync(file, segmentHeader(id));
  const length = 4 * 2 ** 30;
  const groups = length / PIECE;
  const table = Buffer.alloc(1000 + groups * 4);
  let at = 0;
  for (let i = 0; i < length / LONGEST_ENTRY; i++) {
    at = writeVarint(table, at, i === 0 ? 1 : 0);
    if (i === 0) {
      at = writeVarint(table, at, 4);
      at += table.write("zero", at);
    }
    at = writeVarint(table, at, LONGEST_ENTRY);
  }
  const ofZeros = crc32(new Uint8Array(PIECE));
  for (let i = 0; i < groups; i++) at = table.writeUInt32LE(ofZeros, at);
  const record = (
    offset: number,
    table: Buffer,
    payloadLength: number,
    entries: number,
    groups: number,
    stamp: number,
  ) => {
    const head = Buffer.alloc(RECORD_HEAD);
    const tableCrc = crc32(table);
    writeHead(head, seed, offset, {
      stamp,
      payloadLength,
      tableLength: table.length,
      tableCrc,
      entries,
      groups,
    });
    writeSync(file, head, 0, head.length, offset);
    writeSync(file, table, 0, table.length, offset + RECORD_HEAD);
    return offset + RECORD_HEAD + table.length + payloadLength;
  };
  const second = record(SEGMENT_HEADER, table.subarray(0, at), length, 4, groups, 1);
  const small = Buffer.from([3, 3, 97, 98, 99, 3, 0, 0, 0, 0]);
  small.writeUInt32LE(crc32(Buffer.from("end")), 6);
  const end = record(second, small, 3, 1, 1, 2);
  writeSync(file, Buffer.from("end"), 0, 3, end - 3);
  ftruncateSync(file, end);
  closeSync(file);
  const line = `segment ${id} 1-1-1-gone`;
  writeFileSync(
    join(directory, ".partd-log", "manifest"),
    `\n${crc32(Buffer.from(line)).toString(16).padStart(8, "0")} ${line}\n`,
    { flag: "a" },
  );
  const store = new LogStore(directory);
  await store.append({ zero: Buffer.from("+") });
  expect(text(await store.get("abc"))).toBe("end");
  let total = 0;
  let last = 0;
  for await (const piece of store.stream("zero")) {
    total += piece.length;
    last = piece.at(-1) as number;
  }
  expect(total).toBe(length + 1);
  expect(last).toBe(43);
  if (constants.MAX_LENGTH < total) {
    await expect(store.get("zero")).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  }
  await store.close();
  // Now by its index.
  await using again = new LogStore(directory);
  expect(text(await again.get("abc"))).toBe("end");
  const pieces = again.stream("zero")[Symbol.asyncIterator]();
  expect((await pieces.next()).value?.length).toBe(2 ** 20);
  await pieces.return?.();
});

test("opening what was closed cleanly reads no segment", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  for (let i = 0; i < 50; i++)
    await store.append({ [`k${i % 5}`]: Buffer.from(`${i};`), all: Buffer.alloc(10_000) });
  await store.close();
  // Where the records were there are zeros now, which only a read of values may meet.
  const [path = ""] = filesOf(directory, ".seg");
  const fd = openSync(path, "r+");
  writeSync(fd, Buffer.alloc(300_000), 0, 300_000, SEGMENT_HEADER);
  closeSync(fd);
  await using again = new LogStore(directory);
  const keys: unknown[] = [];
  for await (const key of again.keys()) keys.push(key);
  expect(keys.sort()).toEqual(["all", "k0", "k1", "k2", "k3", "k4"]);
  await expect(again.get("k1")).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
});

test("a temporary store goes with close, with the process, and after a crash with the next one", async () => {
  const store = new LogStore();
  await store.append({ x: Buffer.from("1") });
  expect(filesOf(store.path, ".seg")).toHaveLength(1);
  await store.close();
  expect(existsSync(store.path)).toBe(false);
  // Not where other tests make temporary stores, too.
  const TMPDIR = next();
  mkdirSync(TMPDIR);
  const run = (end: string) => {
    const env = { ...process.env, TMPDIR };
    spawnSync(process.execPath, [join(import.meta.dirname, "temporary.mjs"), end], { env });
    return readdirSync(TMPDIR);
  };
  expect(run("exit")).toEqual([]);
  const [left] = run("kill");
  expect(left).toMatch(/^partd-log-/);
  expect(run("kill")).not.toContain(left);
  expect(run("exit")).toEqual([]);
});
