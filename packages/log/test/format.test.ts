import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import fc from "fast-check";
import { Segment } from "../src/data-set/segment.js";
import {
  RECORD_HEAD,
  SEGMENT_HEADER,
  segmentHeader,
  VarintReader,
  writeVarint,
} from "../src/format/layout.js";
import { RecordEncoder } from "../src/format/record-encoder.js";
import { radixOrder } from "../src/index/range-chains.js";
import { directories, filesOf, text } from "./directories.js";

const { copyOf, next } = directories();
const golden = fileURLToPath(new URL("./fixtures/version-1", import.meta.url));
const large = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i >> 8) & 255));

test("a data set of version 1 is read, with its indexes and without", async () => {
  for (const indexed of [true, false]) {
    const directory = copyOf(golden);

    if (!indexed) for (const path of filesOf(directory, ".idx")) rmSync(path);
    await using store = new LogStore(directory);
    expect((await store.get(["a", "ä/%", "gone", "b", "late"])).map(text)).toEqual([
      "one+",
      "umlaut",
      "",
      "setafter",
      "late",
    ]);
    expect(Buffer.compare(await store.get("large"), large)).toBe(0);
    expect(await store.verify()).toMatchObject({ segments: 2, damage: [], torn: [] });
  }
});

test("a segment is written byte by byte as it was in version 1", () => {
  const [path = ""] = filesOf(golden, ".seg").filter((path) => readFileSync(path).includes("late"));
  const bytes = readFileSync(path);
  const id = bytes.toString("hex", 16, 24);
  const segment = new Segment("/nowhere", id, "", { isOwn: true });
  segment.advance(SEGMENT_HEADER);
  const encoder = new RecordEncoder();
  const nothing = Buffer.alloc(0);
  const record = (stamp: number, entries: readonly (readonly [string, Uint8Array])[]) => {
    encoder.begin(segment, stamp);
    encoder.add({
      keys: entries.map(([key]) => key),
      values: entries.map(([, value]) => value),
      byteLength: entries.reduce((sum, [, value]) => sum + value.length, 0),
    });
    encoder.end();
    const written = Buffer.from(encoder.whole());
    encoder.commit();
    segment.advance(segment.position + written.length);
    return written;
  };
  const stampAt = (offset: number) => Number(bytes.readBigUInt64LE(offset + 8));
  const written = [segmentHeader(id)];
  for (const entries of [
    [
      ["a", Buffer.from("+")],
      ["large", large],
      ["b", Buffer.from("three")],
    ],
    [["gone", nothing]],
    [
      ["b", nothing],
      ["b", Buffer.from("set")],
    ],
    [
      ["b", Buffer.from("after")],
      ["late", Buffer.from("late")],
    ],
  ] as const) {
    written.push(record(stampAt(segment.position), entries));
  }
  expect(Buffer.compare(Buffer.concat(written), bytes)).toBe(0);
});

test("a record in one piece and one in several are the same bytes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(
          fc.constantFrom("a", "b", "c", "d"),
          fc.oneof(fc.nat(200), fc.constantFrom(4095, 4096, 65_535, 65_536, 65_537, 140_000)),
        ),
        { minLength: 1, maxLength: 20 },
      ),
      async (entries) => {
        const batch = {
          keys: entries.map(([key]) => key),
          values: entries.map(([, length], i) => new Uint8Array(length).fill(i + 1)),
          byteLength: entries.reduce((sum, [, length]) => sum + length, 0),
        };
        const made = async (inPieces: boolean) => {
          const segment = new Segment("/nowhere", "00000000000000ff", "", { isOwn: true });
          segment.advance(SEGMENT_HEADER);
          const encoder = new RecordEncoder();
          encoder.begin(segment, 7);
          encoder.add(batch);
          encoder.end();
          if (!inPieces) return Buffer.from(encoder.whole());
          const payload: Buffer[] = [];
          await encoder.writePayload(
            () => false,
            (pieces) => void payload.push(...pieces.map((piece) => Buffer.from(piece))),
          );
          return Buffer.concat([encoder.headAndTable(), ...payload]);
        };
        const [whole, pieces] = [await made(false), await made(true)];
        expect(whole.length).toBeGreaterThan(RECORD_HEAD);
        expect(Buffer.compare(whole, pieces)).toBe(0);
      },
    ),
    { numRuns: 30 },
  );
});

test("values of every length come back, from memory, from an index and from records", async () => {
  const lengths = [
    1, 15, 16, 17, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 1_048_577, 5_000_000,
  ];
  const directory = next();

  const madeOf = (length: number, seed: number) => Buffer.alloc(length, `${seed}:${length};`);
  const check = async (store: LogStore) => {
    const values = await store.get(lengths.map(String));
    lengths.forEach((length, i) => {
      const expected = Buffer.concat([madeOf(length, 1), madeOf(length, 2), madeOf(3, 3)]);
      expect(Buffer.compare(values[i] as Uint8Array, expected)).toBe(0);
    });
  };
  const store = new LogStore(directory);
  for (const seed of [1, 2]) {
    await store.append(lengths.map((length) => [String(length), madeOf(length, seed)] as const));
  }
  for (const length of lengths) await store.append([[String(length), madeOf(3, 3)]]);
  await check(store);
  await store.close();
  const indexed = new LogStore(directory);
  await check(indexed);
  await indexed.close();
  for (const path of filesOf(directory, ".idx")) rmSync(path);
  await using scanned = new LogStore(directory, { fsync: true });
  await check(scanned);
  await scanned.compact();
  await check(scanned);
});

test("varints and sorting keep to their definitions", () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeNat()), (numbers) => {
      const buffer = Buffer.alloc(numbers.length * 8);
      let at = 0;
      for (const number of numbers) at = writeVarint(buffer, at, number);
      const reader = new VarintReader(buffer);
      expect(numbers.map(() => reader.next())).toEqual(numbers);
    }),
  );
  const numbers = Array.from({ length: 10_000 }, (_, i) => (i * 2_654_435_761) % 2 ** 40);
  const sorted = [...radixOrder(numbers, numbers.length)].map((i) => numbers[i]);
  expect(sorted).toEqual(numbers.toSorted((a, b) => a - b));
});

test("overlapping appends are written together, each whole", async () => {
  const directory = next();
  await using store = new LogStore(directory, { fsync: true });
  await Promise.all(
    Array.from({ length: 500 }, (_, i) =>
      store.append({ all: Buffer.from(`${i};`), [`k${i}`]: Buffer.from("v") }),
    ),
  );
  const { records } = await store.verify();
  expect(records).toBeLessThan(20);
  expect(
    text(await store.get("all"))
      .split(";")
      .slice(0, -1)
      .map(Number)
      .sort((a, b) => a - b),
  ).toEqual(Array.from({ length: 500 }, (_, i) => i));
});
