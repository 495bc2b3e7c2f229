import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { type Entries, isPartdError } from "@partd/core";
import { LogStore } from "@partd/log";
import fc from "fast-check";
import { DataSet } from "../src/data-set/data-set.js";
import { orderHashOf } from "../src/index/key-dictionary.js";
import { planRead } from "../src/read/read-plan.js";
import { Gathering, valuesOf } from "../src/read/values.js";
import { directories, filesOf } from "./directories.js";

const { next } = directories();
afterEach(() => {
  jest.restoreAllMocks();
});

const KEYS = Array.from({ length: 40 }, (_, i) => `key ${i}`);

/** What was appended to each key. */
class Expected {
  readonly #pieces = new Map<string, Uint8Array[]>();

  append(batch: readonly (readonly [string, Uint8Array])[]): void {
    for (const [key, value] of batch) {
      const pieces = this.#pieces.get(key) ?? [];
      this.#pieces.set(key, pieces);
      pieces.push(value);
    }
  }

  delete(key: string): void {
    this.#pieces.delete(key);
  }

  values(keys: readonly string[]): Buffer[] {
    return keys.map((key) => Buffer.concat(this.#pieces.get(key) ?? []));
  }
}

function batchOf(round: number, lengthOf: (key: number) => number): [string, Uint8Array][] {
  return KEYS.map((key, i) => [key, Buffer.alloc(lengthOf(i), `${round}:${i};`)]);
}

/** So many rounds of short values to each key, and in the middle long ones and a deletion. */
async function filled(rounds: number): Promise<{ directory: string; expected: Expected }> {
  const directory = next();
  const expected = new Expected();
  await using store = new LogStore(directory);
  const append = async (batch: [string, Uint8Array][]) => {
    expected.append(batch);
    await store.append(batch as Entries<Uint8Array>);
  };
  for (let round = 0; round < rounds; round++) {
    if (round === rounds >> 1) {
      await append(batchOf(round, (i) => (i % 3 === 0 ? 70_000 + i : i)));
      expected.delete("key 7");
      await store.delete("key 7");
    }
    await append(batchOf(round, (i) => 10 + ((i + round) % 30)));
  }
  return { directory, expected };
}

async function opened(directory: string): Promise<DataSet> {
  const dataSet = new DataSet(directory);
  await dataSet.refresh();
  return dataSet;
}

async function isSwept({ segments }: DataSet, keys: readonly string[]): Promise<boolean> {
  const { sweeps } = await planRead(segments, keys, undefined, { maySweep: true });
  return sweeps.length > 0;
}

/** Matchers look at every byte by itself, which takes a hundred times as long. */
function areEqual(values: readonly Uint8Array[], expected: readonly Buffer[]): boolean {
  return (
    values.length === expected.length &&
    values.every((value, i) => Buffer.compare(value, expected[i] as Buffer) === 0)
  );
}

test("a get of many keys is what several segments have of them, whatever was deleted", async () => {
  const step = fc.record({
    length: fc.oneof(fc.nat(300), fc.constantFrom(4095, 4096, 65_535, 65_536, 140_000)),
    from: fc.nat(39),
    count: fc.integer({ min: 1, max: 6 }),
    deletes: fc.boolean(),
  });
  const steps = fc.array(step, { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 11, max: 40 }), async (steps, wanted) => {
      const directory = next();
      const expected = new Expected();
      const store = new LogStore(directory, { segmentSize: 300_000 });
      for (const [i, { length, from, count, deletes }] of steps.entries()) {
        // More than a thousand entries, for which a segment is swept.
        for (let round = 0; round < 30; round++) {
          const batch = batchOf(30 * i + round, (key) => (key + round) % 50);
          expected.append(batch);
          await store.append(batch);
        }
        const keys = KEYS.slice(from, from + count);
        const batch = keys.map((key) => [key, Buffer.alloc(length, key)] as const);
        expected.append(batch);
        await store.append(batch);
        if (!deletes) continue;
        const gone = KEYS[(from * 7) % 40] as string;
        expected.delete(gone);
        await store.delete(gone);
      }
      const keys = KEYS.slice(0, wanted);
      expect(areEqual(await store.get(keys), expected.values(keys))).toBe(true);
      await store.close();
      await using again = new LogStore(directory);
      expect(areEqual(await again.get(keys), expected.values(keys))).toBe(true);
    }),
    { numRuns: 20 },
  );
});

describe("ranges that are gathered before they are copied", () => {
  test("and the same without WebAssembly", async () => {
    const { directory, expected } = await filled(1700);
    const dataSet = await opened(directory);
    expect(await isSwept(dataSet, KEYS)).toBe(true);
    const handedOut = jest.spyOn(Gathering.prototype, "handOut");
    const wanted = expected.values(KEYS);
    expect(areEqual(await valuesOf(dataSet.segments, KEYS, undefined), wanted)).toBe(true);
    expect(handedOut).toHaveBeenCalled();
    handedOut.mockClear();
    jest.spyOn(Gathering, "open").mockReturnValue(undefined);
    expect(areEqual(await valuesOf(dataSet.segments, KEYS, undefined), wanted)).toBe(true);
    expect(handedOut).not.toHaveBeenCalled();
    await dataSet.close();
  });

  test("an array of one value is not held by another", async () => {
    const { directory } = await filled(1700);
    const dataSet = await opened(directory);
    for (const value of await valuesOf(dataSet.segments, KEYS, undefined)) {
      expect(value.buffer.byteLength).toBe(value.byteLength);
    }
    await dataSet.close();
  });
});

describe.each([100, 1700])("%i entries of each key, of which most are read", (rounds) => {
  test("a damaged byte is told with its key", async () => {
    const { directory } = await filled(rounds);
    const [segment = ""] = filesOf(directory, ".seg");
    const bytes = readFileSync(segment);
    const text = `${rounds - 3}:5;`;
    const at = bytes.indexOf(text);
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(segment, bytes);
    const dataSet = await opened(directory);
    expect(await isSwept(dataSet, KEYS)).toBe(true);
    const failed = await valuesOf(dataSet.segments, KEYS, undefined).catch((error) => error);
    expect(isPartdError(failed, "ERR_PARTD_CORRUPT")).toBe(true);
    expect(failed.path).toBe(segment);
    expect(failed.offset).toBeLessThanOrEqual(at);
    expect(failed.offset).toBeGreaterThan(at - 8192);
    await dataSet.close();
  });

  test("a segment that is cut short is told", async () => {
    const { directory } = await filled(rounds);
    const dataSet = await opened(directory);
    const [segment = ""] = filesOf(directory, ".seg");
    truncateSync(segment, readFileSync(segment).length - 10);
    await expect(valuesOf(dataSet.segments, KEYS, undefined)).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      path: segment,
    });
    await dataSet.close();
  });
});

test("an aborted get has no read left that is running", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  for (let round = 0; round < 30; round++) await store.append(batchOf(round, () => 3000));
  const dataSet = await opened(directory);
  const [segment] = dataSet.segments;
  if (!segment) throw new Error("There is no segment.");
  expect(await isSwept(dataSet, KEYS)).toBe(true);
  const abort = new AbortController();
  const reading = segment.reading.bind(segment);
  let begun = 0;
  let running = 0;
  jest.spyOn(segment, "reading").mockImplementation(async (read) => {
    running++;
    // The first one ends first.
    for (let turns = 100 * begun++; turns > 0; turns--) await new Promise(setImmediate);
    abort.abort(new Error("enough"));
    const result = await reading(read);
    running--;
    return result;
  });
  await expect(valuesOf(dataSet.segments, KEYS, abort.signal)).rejects.toThrow("enough");
  expect(begun).toBeGreaterThan(1);
  expect(running).toBe(0);
  await dataSet.close();
});

test("a get of some of the keys that share a hash, from a store that was opened again", async () => {
  const pair = ["k32728", "k261234"];
  // The same behind both, so that they still share it; so long that each fills a block.
  const [one = "", other = ""] = pair.map((key) => key.padEnd(5000 + key.length, "x"));
  expect(orderHashOf(one)).toBe(orderHashOf(other));
  for (const there of [[one], [other], [one, other]]) {
    const directory = next();
    const expected = new Expected();
    await using store = new LogStore(directory);
    for (let round = 0; round < 3; round++) {
      const keys = Array.from({ length: 500 }, (_, i) => `few ${i}`).concat(there);
      const batch = keys.map((key) => [key, Buffer.from(`${round}`)] as const);
      expected.append(batch);
      await store.append(batch);
    }
    await store.close();
    await using again = new LogStore(directory);
    const few = Array.from({ length: 400 }, (_, i) => `few ${2 * i}`);
    for (const keys of [[one], [other], [one, other], [...few, one], [other, ...few, one]]) {
      expect(areEqual(await again.get(keys), expected.values(keys))).toBe(true);
    }
  }
});
