import { readFileSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import fc from "fast-check";
import { DataSet } from "../src/data-set/data-set.js";
import { DivideMemory } from "../src/read/divider.js";
import { entriesOf } from "../src/read/entries.js";
import { LongEntry } from "../src/read/entry-batch.js";
import { Partitions } from "../src/read/partitions.js";
import { directories, filesOf, text } from "./directories.js";

const { next } = directories();

function opened(open = DivideMemory.open): DivideMemory {
  const memory = open();
  if (!memory) throw new Error("There is no WebAssembly here.");
  return memory;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("partitions give each key once, with what several writers appended and deleted in turn", async () => {
  const step = fc.record({
    writer: fc.nat(2),
    key: fc.nat(30),
    length: fc.oneof(fc.nat(300), fc.constantFrom(1023, 1024, 4095, 4096, 70_000)),
    deletes: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
      const directory = next();
      const stores = [0, 1, 2].map(
        (i) => new LogStore(directory, { segmentSize: i === 0 ? 3000 : 2 ** 20 }),
      );
      const expected = new Map<string, string>();
      for (const [i, { writer, key, length, deletes }] of steps.entries()) {
        const store = stores[writer] as LogStore;
        // Longer than a chunk, and than the length of a key that fits in one word.
        const name = `k${key}`.padEnd(key === 30 ? 20_000 : key === 29 ? 1024 : 0, "x");
        if (deletes && i % 5 === 0) {
          await store.delete(name);
          expected.delete(name);
        }
        const value = `${i};`.padEnd(length, String(i % 10));
        await store.append([[name, Buffer.from(value)]]);
        expected.set(name, (expected.get(name) ?? "") + value);
        if (i === 40) await store.compact();
      }
      for (const store of stores) await store.close();
      const dataSet = new DataSet(directory);
      await dataSet.refresh();
      const extents = dataSet.segments.map((segment) => ({ segment, end: segment.recordsEnd }));
      for (const memory of [2 ** 30, 1000]) {
        const partitions = new Partitions(directory, extents, opened(), { memory });
        const found = new Map<string, string>();
        for (const some of [
          ...(await all(partitions.fill())),
          ...(await all(partitions.entries())),
        ]) {
          if (some instanceof LongEntry) throw new Error(`${some.key} is not that long`);
          for (const [key, value] of some) {
            expect(found.has(key)).toBe(false);
            found.set(key, text(value));
          }
        }
        expect(found).toEqual(expected);
        await partitions.close();
      }
      await dataSet.close();
    }),
    {
      numRuns: 25,
      examples: [
        [
          [29, 30, 29, 30].flatMap((key, writer) =>
            [1023, 1024, 70_000, 5].map((length) => ({
              writer: writer % 3,
              key,
              length,
              deletes: false,
            })),
          ),
        ],
      ],
    },
  );
});

/** Records that are longer than what is read at a time, with more entries than are divided at a time. */
async function longRecords(): Promise<{ directory: string; expected: Map<string, string> }> {
  const directory = next();
  await using store = new LogStore(directory);
  const expected = new Map<string, string>();
  for (let from = 0; from < 24_000; from += 12_000) {
    const batch: [string, Uint8Array][] = [];
    for (let i = from; i < from + 12_000; i++) {
      const length = i % 5000 === 4999 ? 4096 + i : i % 7 === 0 ? 9 : 60 + (i % 311);
      const value = `${i};`.padEnd(length, String(i % 10));
      batch.push([`k${i % 9001}`, Buffer.from(value)]);
      expected.set(`k${i % 9001}`, (expected.get(`k${i % 9001}`) ?? "") + value);
    }
    await store.append(batch);
  }
  const gone = Array.from({ length: 6000 }, (_, i) => `k${i}`);
  await store.delete(gone);
  for (const key of gone) expected.delete(key);
  return { directory, expected };
}

test("records that are read in several pieces give what they hold", async () => {
  const { directory, expected } = await longRecords();
  await using store = new LogStore(directory);
  const found = new Map<string, string>();
  let count = 0;
  for await (const [key, value] of store.entries()) {
    count++;
    found.set(key as string, text(value));
  }
  expect(count).toBe(expected.size);
  expect(found).toEqual(expected);
});

test("damage in the midst of a record is told with its key", async () => {
  const { directory } = await longRecords();
  const [path = ""] = filesOf(directory, ".seg");
  const bytes = readFileSync(path);
  for (const i of [5, 4000, 8888]) {
    const copy = Buffer.from(bytes);
    copy[copy.indexOf(`${i};`) + 1]! ^= 1;
    writeFileSync(path, copy);
    await using store = new LogStore(directory);
    const reading = (async () => {
      for await (const _ of store.entries());
    })();
    const error = await reading.catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "ERR_PARTD_CORRUPT", path });
    // Its group has its bytes, and begins with those of another key.
    const { key, offset } = error as { key: string; offset: number };
    const place = bytes.indexOf(`${i};`);
    expect(place - offset).toBeGreaterThanOrEqual(0);
    expect(place - offset).toBeLessThan(8192);
    const first = bytes.toString("latin1", offset, offset + 8).split(";")[0];
    expect(key).toBe(`k${Number(first) % 9001}`);
  }
});

describe("entries are read by the indexes", () => {
  async function check(): Promise<void> {
    const directory = next();
    const store = new LogStore(directory);
    for (const value of ["one,", "two"]) {
      await store.append({ a: Buffer.from(value), b: Buffer.alloc(5000, value) });
    }
    await store.close();
    const dataSet = new DataSet(directory);
    await dataSet.refresh();
    const extents = dataSet.segments.map((segment) => ({ segment, end: segment.recordsEnd }));
    const found = new Map<string, string>();
    for await (const some of entriesOf(dataSet, extents)) {
      if (some instanceof LongEntry) throw new Error(`${some.key} is not that long`);
      for (const [key, value] of some) found.set(key, text(value));
    }
    const b = ["one,", "two"].map((value) => text(Buffer.alloc(5000, value)));
    expect(found).toEqual(new Map(Object.entries({ a: "one,two", b: b.join("") })));
    await dataSet.close();
  }

  test("where there is no WebAssembly", async () => {
    const { WebAssembly } = globalThis;
    Reflect.deleteProperty(globalThis, "WebAssembly");
    try {
      expect(DivideMemory.open()).toBe(undefined);
      await check();
    } finally {
      Object.assign(globalThis, { WebAssembly });
    }
  });

  test("where it finds no memory", async () => {
    const { open } = DivideMemory;
    let calls = 0;
    DivideMemory.open = () => {
      const memory = opened(open);
      const divide = () => {
        calls++;
        throw new WebAssembly.RuntimeError("unreachable");
      };
      return Object.assign(memory, { exports: { ...memory.exports, divide } });
    };
    try {
      await check();
      expect(calls).toBe(1);
    } finally {
      DivideMemory.open = open;
    }
  });
});

test("segments that have been divided leave nothing in memory", async () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  const arrayBuffers = () => {
    for (let i = 0; i < 3; i++) gc();
    return process.memoryUsage().arrayBuffers;
  };
  const directory = next();
  const store = new LogStore(directory, { segmentSize: 2 ** 20 });
  const value = Buffer.alloc(2 ** 20);
  for (let i = 0; i < 64; i++) await store.append([[`k${i % 8}`, value]]); // A segment each.
  await store.close();
  const dataSet = new DataSet(directory);
  await dataSet.refresh();
  const extents = dataSet.segments.map((segment) => ({ segment, end: segment.recordsEnd }));
  expect(extents.length).toBe(64);
  const before = arrayBuffers();
  let records = 0;
  let more = Number.POSITIVE_INFINITY;
  const count = () => {
    if (++records === 64) more = arrayBuffers() - before;
  };
  const memory = opened();
  const partitions = new Partitions(directory, extents, memory, { onBytes: count });
  await all(partitions.fill());
  await partitions.close();
  await dataSet.close();
  expect(more).toBeLessThan(24 * 2 ** 20); // Once 64 MiB, of each segment the stretch read last.
  expect(memory.exports.memory.buffer.byteLength).toBeLessThan(16 * 2 ** 20);
});
