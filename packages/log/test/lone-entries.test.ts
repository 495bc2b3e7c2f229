import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import fc from "fast-check";
import { DataSet } from "../src/data-set/data-set.js";
import { DivideMemory } from "../src/read/divider.js";
import { entriesOf } from "../src/read/entries.js";
import { type EntryBatch, LongEntry } from "../src/read/entry-batch.js";
import { Partitions, type PartitionsOptions } from "../src/read/partitions.js";
import { directories, filesOf, text } from "./directories.js";

const { next } = directories();

/** What `Partitions` hands out at once, and what it groups: a key that comes twice is an error. */
async function readBoth(directory: string, options: PartitionsOptions = {}) {
  const dataSet = new DataSet(directory);
  await dataSet.refresh();
  const extents = dataSet.segments.map((segment) => ({ segment, end: segment.recordsEnd }));
  const partitions = new Partitions(directory, extents, opened(), options);
  const all = new Set<string>();
  const batches: EntryBatch[] = [];
  const read = async (items: AsyncIterable<EntryBatch | LongEntry>) => {
    const found = new Map<string, string>();
    const add = (key: string, value: Uint8Array) => {
      if (all.has(key)) throw new Error(`${key} comes twice`);
      all.add(key);
      found.set(key, text(value));
    };
    for await (const some of items) {
      if (some instanceof LongEntry) {
        const pieces: Uint8Array[] = [];
        for await (const piece of some.pieces()) pieces.push(piece);
        add(some.key, Buffer.concat(pieces));
      } else {
        batches.push(some);
        for (const [key, value] of some) add(key, value);
      }
    }
    return found;
  };
  const lone = await read(partitions.fill());
  const grouped = await read(partitions.entries());
  await partitions.close();
  await dataSet.close();
  return { lone, grouped, batches };
}

function opened(): DivideMemory {
  const memory = DivideMemory.open();
  if (!memory) throw new Error("There is no WebAssembly here.");
  return memory;
}

function filled(key: string, length: number): Buffer {
  return Buffer.from(`${key};`.padEnd(length, key.at(-1)));
}

test("values that compact laid together are handed out as they are read, those with more are not", async () => {
  const directory = next();
  const store = new LogStore(directory, { segmentSize: 2 ** 21 });
  const lengths = [8, 300, 4095, 4096, 70_000];
  const expected = new Map<string, string>();
  const base = Array.from({ length: 1000 }, (_, i) => {
    const name = i === 500 ? "x".repeat(20_000) : `k${i}`;
    return [name, filled(`k${i}`, lengths[i % (i < 50 ? 5 : 2)] as number)] as const;
  });
  const long = ["long", Buffer.alloc(40 * 2 ** 20, "l")] as const;
  await store.append([...base, long]);
  await store.compact();
  for (const [key, value] of [...base, long]) expected.set(key, text(value));
  const touched = new Set(["long", "entry", "twice"]);
  const change = async (from: number, work: (key: string) => Promise<void>) => {
    for (let i = from; i < from + 10; i++) {
      touched.add(`k${i}`);
      await work(`k${i}`);
    }
  };
  const append = async (key: string) => {
    await store.append([[key, Buffer.from("more")]]);
    expected.set(key, `${expected.get(key) ?? ""}more`);
  };
  const remove = async (key: string) => {
    await store.delete(key);
    expected.delete(key);
  };
  await change(0, append);
  await change(20, remove);
  await change(45, remove);
  await change(45, append);
  await append("twice");
  await append("twice");
  await append("new"); // It lies in one entry, too. So does the next one, too long to be held.
  await store.append([["entry", long[1].subarray(0, 33 * 2 ** 20)]]);
  expected.set("entry", text(long[1].subarray(0, 33 * 2 ** 20)));
  await store.close();

  const { lone, grouped, batches } = await readBoth(directory, { memory: 2 ** 20 });
  expect(new Map([...lone, ...grouped])).toEqual(expected);
  for (const key of lone.keys()) expect(touched.has(key)).toBe(false);
  const untouched = [...expected.keys()].filter((key) => !touched.has(key));
  expect(lone.size).toBeGreaterThan(0.95 * untouched.length);
  expect(lone.has("x".repeat(20_000))).toBe(true);
  for (const [, { byteLength, buffer }] of batches.flat()) {
    expect(buffer.byteLength).toBeLessThanOrEqual(Math.max(16 * 1024, byteLength));
  }

  const some = await readBoth(directory, { start: "k4" });
  const wanted = [...expected].filter(([key]) => key.startsWith("k4"));
  expect(new Map([...some.lone, ...some.grouped])).toEqual(new Map(wanted));
  const none = await readBoth(directory, { passesLone: false });
  expect(none.lone.size).toBe(0);
  expect(none.grouped).toEqual(expected);
});

test("any changes after compact give each key once, with its whole value", async () => {
  const change = fc.record({
    key: fc.nat(40),
    length: fc.constantFrom(1, 90, 1023, 4096, 9000),
    deletes: fc.boolean(),
  });
  const rounds = fc.record({
    base: fc.array(change, { minLength: 20, maxLength: 60 }),
    tail: fc.array(change, { maxLength: 6 }),
    again: fc.boolean(),
  });
  let handedOut = 0;
  await fc.assert(
    fc.asyncProperty(rounds, async ({ base, tail, again }) => {
      const directory = next();
      const expected = new Map<string, string>();
      const stores = [1, 2].map(() => new LogStore(directory, { segmentSize: 20_000 }));
      const add = (key: string, value: Buffer) => {
        expected.set(key, (expected.get(key) ?? "") + text(value));
        return [key, value] as const;
      };
      await stores[0]?.append(
        base.map(({ key, length }, i) => add(`k${key}`, filled(`${i}`, length))),
      );
      await stores[0]?.compact();
      for (const [i, { key, length, deletes }] of tail.entries()) {
        const store = stores[i % 2] as LogStore;
        if (deletes) {
          await store.delete(`k${key}`);
          expected.delete(`k${key}`);
        } else await store.append([add(`k${key}`, filled(`${i}`, length))]);
      }
      if (again) await stores[1]?.compact();
      for (const store of stores) await store.close();
      const { lone, grouped } = await readBoth(directory, { memory: 100_000 });
      expect(new Map([...lone, ...grouped])).toEqual(expected);
      handedOut += lone.size;
    }),
    { numRuns: 15 },
  );
  expect(handedOut).toBeGreaterThan(0);
});

test("of a long record a few values are held at a time", async () => {
  const directory = next();
  const store = new LogStore(directory);
  const record = (name: string, count: number, length: number) =>
    Array.from({ length: count }, (_, i) => [`${name}${i}`, filled(`${i}`, length)] as const);
  await store.append(record("base", 4000, 5000));
  await store.compact();
  await store.append(record("new", 1000, 9000));
  await store.close();
  const { lone, batches } = await readBoth(directory);
  expect(lone.size).toBeGreaterThan(4800);
  for (const batch of batches) {
    const byteLength = batch.reduce((sum, [, value]) => sum + value.length, 0);
    expect(byteLength).toBeLessThan(2 ** 21);
  }
});

async function compacted(): Promise<string> {
  const directory = next();
  await using store = new LogStore(directory);
  for (const round of ["one,", "two,"]) {
    await store.append(
      Array.from({ length: 900 }, (_, i) => [`k${i}`, filled(`${round}${i}`, 5000)] as const),
    );
  }
  await store.compact();
  return directory;
}

test("damage to a value is told with its key, after those before it were handed out", async () => {
  const directory = await compacted();
  const [path = ""] = filesOf(directory, ".seg");
  const bytes = readFileSync(path);
  const at = bytes.indexOf("two,700;");
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
  await using store = new LogStore(directory);
  const keys: unknown[] = [];
  const reading = (async () => {
    for await (const [key] of store.entries()) keys.push(key);
  })();
  await expect(reading).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", key: "k700", path });
  expect(keys).not.toContain("k700");
});

test("memory that runs out after values were handed out is told", async () => {
  const directory = await compacted();
  const dataSet = new DataSet(directory);
  await dataSet.refresh();
  const extents = dataSet.segments.map((segment) => ({ segment, end: segment.recordsEnd }));
  const { open } = DivideMemory;
  let calls = 0;
  DivideMemory.open = () => {
    const memory = open() as DivideMemory;
    const { exports } = memory;
    const divide = (segment: number) => {
      if (++calls === 800) throw new WebAssembly.RuntimeError("unreachable");
      return exports.divide(segment);
    };
    return Object.assign(memory, { exports: { ...exports, divide } });
  };
  let found = 0;
  try {
    const reading = (async () => {
      for await (const some of entriesOf(dataSet, extents)) {
        if (!(some instanceof LongEntry)) found += some.length;
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
  } finally {
    DivideMemory.open = open;
    await dataSet.close();
  }
  expect(found).toBeGreaterThan(0);
  expect(found).toBeLessThan(900);
});
