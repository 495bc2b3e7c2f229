import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { type Key, tuple } from "@partd/core";
import { LogStore } from "@partd/log";
import { sortedKeys } from "../src/index/key-listing.js";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next } = directories();

/** Keys in several segments with stored indexes, and in one that grows. */
async function filled(directory: string): Promise<LogStore> {
  for (let writer = 0; writer < 3; writer++) {
    await using store = new LogStore(directory, { segmentSize: 20_000 });
    for (let i = 0; i < 3000; i += 500) await store.append(batch(i, i + 500));
  }
  const store = new LogStore(directory);
  await store.append(batch(2900, 3100));
  return store;
}

function* batch(from: number, to: number): Generator<[string, Uint8Array]> {
  for (let i = from; i < to; i++) yield [`key ${i}`, new Uint8Array(10)];
}

test("keys are listed as they stood, also when the data set is compacted or dropped meanwhile", async () => {
  for (const change of ["compact", "drop"] as const) {
    await using store = await filled(next());
    const keys = store.keys();
    const [{ value: first }] = await Promise.all([keys.next(), store[change]()]);
    const found = new Set([first]);
    for await (const key of keys) found.add(key);
    expect(found.size).toBe(3100);
    expect(await store.count()).toBe(change === "drop" ? 0 : 3100);
  }
});

test("a listing opens the indexes before what it holds can be removed, and keeps them open", async () => {
  const directory = next();
  const store = new LogStore(directory);
  await store.append(batch(0, 40_000)); // An index of several stretches.
  await store.close();
  await using opened = new LogStore(directory);
  await opened.get("absent");
  const keys = await opened["_keys"]({});
  await opened.drop();
  const found = new Set<string>();
  for await (const key of keys) found.add(key);
  expect(found.size).toBe(40_000);
});

test("keys that are listed when the store is closed are not cut short", async () => {
  const store = await filled(next());
  const keys = store.keys();
  await keys.next();
  await store.close();
  await expect(
    (async () => {
      for await (const _ of keys);
    })(),
  ).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
});

test("entries of a prefix stand as they stood, whether they are few or many, also when dropped", async () => {
  for (const [count, total] of [
    [100, 1000],
    [8300, 8400],
  ] as const) {
    const directory = next();
    const filling = new LogStore(directory, { segmentSize: 100_000 });
    for (let i = 0; i < total; i += 100) {
      await filling.append(
        Array.from({ length: 100 }, (_, j) => {
          const key = tuple(i + j < count ? "some" : "someother", `${i + j}`);
          return [key, bytes(`${i + j};`)] as const;
        }),
      );
    }
    await filling.close();
    await using store = new LogStore(directory);
    await store.append([
      [tuple("some", "7"), bytes("last")],
      ["some", bytes("no tuple")],
    ]);
    const entries = store.entries({ prefix: "some" });
    const [{ value: first }] = await Promise.all([
      entries.next(),
      store.append([[tuple("some", "8"), bytes("later")]]).then(() => store.drop()),
    ]);
    const found = new Map<string, string>();
    const add = ([key, value]: readonly [Key, Uint8Array]) => found.set(String(key), text(value));
    add(first as readonly [Key, Uint8Array]);
    for await (const entry of entries) add(entry);
    expect(found.size).toBe(count);
    const expected = new Map<string, string>();
    for (let i = 0; i < count; i++) {
      expected.set(String(tuple("some", `${i}`)), i === 7 ? "7;last" : `${i};`);
    }
    found.set(String(tuple("some", "8")), "8;"); // What is appended at the same time may count.
    expect(found).toEqual(expected);
  }
});

test("keys are sorted by their bytes in runs on the disk, of which nothing is left", async () => {
  const directory = next();
  await using store = await filled(directory);
  await store.append([["k".repeat(100_000), new Uint8Array(1)]]);
  const expected = ["k".repeat(100_000), ...Array.from({ length: 3100 }, (_, i) => `key ${i}`)];
  expected.sort();
  const batches = async function* () {
    for (let i = 0; i < expected.length; i += 7) yield expected.slice(i, i + 7).reverse();
  };
  const own = join(directory, ".partd-log");
  const before = readdirSync(own);
  const { signal } = new AbortController();
  const merged: string[] = [];
  for await (const some of sortedKeys(batches(), own, signal, 2000)) merged.push(...some);
  expect(merged).toEqual(expected);
  expect(readdirSync(own)).toEqual(before);
  const found: unknown[] = [];
  for await (const key of store.keys({ sorted: true })) found.push(key);
  expect(found).toEqual(expected);
});

test("entries names the key whose bytes are damaged, not one before it in the record", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  await store.append({ gone: bytes("before") });
  await store.delete("gone");
  await store.append({ small: bytes("few"), large: new Uint8Array(100_000).fill(7) });
  await store.close();
  const [path = ""] = filesOf(directory, ".seg");
  const whole = readFileSync(path);
  for (const [text, key] of [
    ["few", "small"],
    ["\x07".repeat(5000), "large"],
  ] as const) {
    const damaged = Buffer.from(whole);
    const at = damaged.indexOf(text);
    damaged.writeUInt8((damaged[at] as number) ^ 1, at);
    writeFileSync(path, damaged);
    await using opened = new LogStore(directory);
    await expect(
      (async () => {
        for await (const _ of opened.entries());
      })(),
    ).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", key });
  }
});
