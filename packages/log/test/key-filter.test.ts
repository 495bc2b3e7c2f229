import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
import { LogStore } from "@partd/log";
import { orderHashOf } from "../src/index/key-dictionary.js";
import { filterBytes, filterPlace, mayHold, writeFilter } from "../src/index/key-filter.js";
import { directories, filesOf, text } from "./directories.js";

const { next, copyOf } = directories();

/** Whether the pages of a filter, with a checksum behind each, may hold a key. */
function holds({ bytes, blocks }: ReturnType<typeof writeFilter>, key: string): boolean {
  const hash = orderHashOf(key);
  const { page, offset } = filterPlace(hash, blocks);
  return mayHold(bytes.subarray(4068 * page), offset, hash);
}

test("a filter holds all its keys, and few others, in 10 bits a key", () => {
  const keys = Array.from({ length: 10_000 }, (_, i) => `key-${i}`);
  const filter = writeFilter(Uint32Array.from(keys, orderHashOf));
  expect(filter.bytes.length).toBeLessThan(10_000 * 1.26);
  expect(filter.bytes.length).toBe(filterBytes(filter.blocks));
  expect(keys.filter((key) => !holds(filter, key))).toEqual([]);
  const others = Array.from({ length: 10_000 }, (_, i) => `other-${i}`);
  // The hash has no secret, so that the number is always the same.
  expect(others.filter((key) => holds(filter, key)).length).toBeLessThan(200);
  expect(writeFilter(new Uint32Array(0))).toMatchObject({ blocks: 0, bytes: { length: 0 } });
});

describe("an index with a filter", () => {
  const KEYS = 800;

  /** A data set of one segment, and where the parts of its index lie. */
  async function written() {
    const directory = next();
    const store = new LogStore(directory);
    await store.append(
      Array.from({ length: KEYS }, (_, i) => [`key-${i}`, Buffer.from(`value ${i}`)] as const),
    );
    await store.close();
    const [path = ""] = filesOf(directory, ".idx");
    const whole = readFileSync(path);
    const blocks = whole.readUInt32LE(72);
    const end = Number(whole.readBigUInt64LE(64));
    const groups = whole.readUInt32LE(48);
    const keysAt = 96 + 24 * groups + 4 * Math.ceil(groups / 170);
    return { directory, path, whole, keysAt, start: end - filterBytes(blocks), end };
  }

  test("reads no block for keys that are not there", async () => {
    const { directory, path, whole, keysAt, start } = await written();
    const filter = writeFilter(
      Uint32Array.from({ length: KEYS }, (_, i) => orderHashOf(`key-${i}`)),
    );
    expect(Buffer.compare(whole.subarray(start, start + filter.bytes.length), filter.bytes)).toBe(
      0,
    );
    const damaged = Buffer.from(whole);
    for (let at = keysAt; at < start; at += 100) damaged[at]! ^= 1;
    writeFileSync(path, damaged);
    await using store = new LogStore(directory);
    const absent = Array.from({ length: 100 }, (_, i) => `none-${i}`);
    const told = absent.filter((key) => !holds(filter, key));
    expect(told.length).toBeGreaterThan(90);
    for (const key of told) expect((await store.get(key)).byteLength).toBe(0);
    await expect(store.get("key-1")).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
  });

  test("never denies a key when a bit of the filter is flipped", async () => {
    const { directory, path, whole, start, end } = await written();
    let refused = 0;
    for (let at = start; at < end; at += at + 5 < end ? 83 : 1) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 1 << (at % 8);
      writeFileSync(path, damaged);
      const store = new LogStore(directory);
      const { damage } = await store.verify();
      expect(damage).toEqual([expect.objectContaining({ path })]);
      try {
        expect(text(await store.get("key-77"))).toBe("value 77");
      } catch (error) {
        if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
        refused++;
      }
      await store.close();
    }
    expect(refused).toBeGreaterThan(0);
  });

  test("is made anew where it is cut short", async () => {
    const { directory, path, whole, start, end } = await written();
    for (const length of [
      0,
      95,
      96,
      start - 1,
      start,
      start + 50,
      end - 1,
      end,
      whole.length - 1,
    ]) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      const store = new LogStore(directory);
      expect(text(await store.get("key-77"))).toBe("value 77");
      expect((await store.get("none")).byteLength).toBe(0);
      await store.close();
      expect(Buffer.compare(readFileSync(path), whole)).toBe(0);
    }
  });

  test("is refused where it says more blocks than there are", async () => {
    const { directory, path, whole } = await written();
    for (const blocks of [0, 1, 2 ** 21, 2 ** 32 - 1]) {
      const lying = Buffer.from(whole);
      lying.writeUInt32LE(blocks, 72);
      lying.writeUInt32LE(crc(lying.subarray(0, 92)), 92);
      writeFileSync(path, lying);
      await using store = new LogStore(directory);
      expect(text(await store.get("key-77"))).toBe("value 77"); // The segment has it all.
    }
  });
});

test("an index of version 2, which has no filter, is read as it is", async () => {
  const directory = copyOf(fileURLToPath(new URL("./fixtures/index-2", import.meta.url)));
  const [path = ""] = filesOf(directory, ".idx");
  const before = readFileSync(path);
  expect(before.readUInt16LE(8)).toBe(2);
  const store = new LogStore(directory);
  const keys = ["key-0", "key-1", "key-7", "key-8", "none"];
  const values = ["one 0;two 0;", "one 1;", "", "again", ""];
  for (const [i, key] of keys.entries()) expect(text(await store.get(key))).toBe(values[i]);
  expect((await store.get(keys)).map(text)).toEqual(values);
  expect(await store.count()).toBe(299);
  expect(await store.verify()).toMatchObject({ damage: [], torn: [] });
  await store.close();
  expect(Buffer.compare(readFileSync(path), before)).toBe(0);
});

function crc(data: Uint8Array): number {
  let value = -1;
  for (const byte of data) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return ~value >>> 0;
}
