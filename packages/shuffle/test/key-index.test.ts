import { describe, expect, test } from "@jest/globals";
import { hashKey } from "@partd/records";
import { type Adopted, KeyIndex, NO_NUMBER } from "../src/fold/key-index.js";
import { KeyColumns } from "../src/source/key-columns.js";

const RUNS = Number(process.env.PARTD_SHUFFLE_RUNS ?? 40);

type Hash = (key: Uint8Array) => { readonly low: number; readonly high: number };

/** Hashes from those of real keys to one for all. */
const hashes: [string, Hash][] = [
  ["their own hashes", (key) => hashKey(key, 0, key.length)],
  ["eight hashes", (key) => ({ low: hashKey(key, 0, key.length).low & 7, high: 0 })],
  [
    "one slot, but other high halves",
    (key) => ({ low: 5, high: hashKey(key, 0, key.length).high }),
  ],
  ["the slots at the end of any table", () => ({ low: 0xffff_ffff, high: 1 })],
];

/** Numbers from 0 to below `below`, the same for a seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Keys of few bytes that are often the same, begin alike, or differ by their length alone. */
function keyFrom(below: (n: number) => number, variety: number): Uint8Array {
  if (below(50) === 0) return new Uint8Array(3000 + below(3)).fill(7);
  return Uint8Array.from({ length: below(5) }, () => below(variety));
}

function batchOf(keys: readonly Uint8Array[], hash: Hash): KeyColumns {
  const batch = new KeyColumns();
  for (const key of keys) {
    const { low, high } = hash(key);
    batch.add(key, 0, key.length, low, high);
  }
  return batch;
}

/** The numbers that a Map gives. */
class Model {
  readonly numbers = new Map<string, number>();

  number(keys: readonly Uint8Array[], isClosed: boolean): number[] {
    return keys.map((key) => {
      const name = nameOf(key);
      const known = this.numbers.get(name);
      if (known !== undefined) return known;
      if (isClosed) return NO_NUMBER;
      this.numbers.set(name, this.numbers.size);
      return this.numbers.size - 1;
    });
  }
}

const nameOf = (key: Uint8Array) => Buffer.from(key).toString("hex");

function check(index: KeyIndex, { numbers }: Model): void {
  expect(index.count).toBe(numbers.size);
  const names = Array.from({ length: index.count }, (_, number) =>
    index.at(number, (bytes, start, end) => nameOf(bytes.subarray(start, end))),
  );
  expect(names).toEqual([...numbers.keys()]);
}

describe.each(hashes)("keys with %s", (_name, hash) => {
  test.each(Array.from({ length: RUNS }, (_, seed) => seed))(
    "as a Map numbers them: seed %d",
    (seed) => {
      const below = random(seed + 1);
      let index = new KeyIndex();
      let model = new Model();
      // Many keys in one chain take time in their square.
      const most = hash(new Uint8Array([1])).low === hash(new Uint8Array([2])).low ? 100 : 1500;
      for (let step = 0; step < 8; step++) {
        const variety = 1 + below(seed % 3 === 0 ? 2 : 256);
        const keys = Array.from({ length: below(most) }, () => keyFrom(below, variety));
        const batch = batchOf(keys, hash);
        const isClosed = below(4) === 0;
        const numbers = new Uint32Array(keys.length + 1);
        const without = index.number(batch, numbers, isClosed);
        const expected = model.number(keys, isClosed);
        expect([...numbers.subarray(0, keys.length)]).toEqual(expected);
        expect(without).toBe(expected.filter((number) => number === NO_NUMBER).length);
        check(index, model);
        switch (below(6)) {
          case 0: // It is used again, in the memory that it has.
            index.clear();
            model = new Model();
            break;
          case 1: // Another takes its keys over.
            index = adopted(index);
            break;
        }
      }
    },
  );
});

function adopted(from: KeyIndex): KeyIndex {
  const { keyed } = from;
  const own: Adopted = { ...keyed, keys: keyed.keys.slice(), keyEnds: keyed.keyEnds.slice() };
  const index = new KeyIndex();
  index.adopt(own);
  return index;
}

test("the bytes that it says grow with its keys, and are gone when it is cleared", () => {
  const index = new KeyIndex();
  const bytes = [index.byteLength];
  for (let i = 0; i < 3; i++) {
    const keys = Array.from({ length: 1000 }, (_, n) => Buffer.from(`key ${i} ${n}`));
    index.number(batchOf(keys, hashes[0]![1]), new Uint32Array(1000), false);
    bytes.push(index.byteLength);
  }
  expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
  expect(bytes[3]).toBeGreaterThan(3000 * (9 + 4 + 16));
  index.clear();
  expect(index.byteLength).toBe(0);
});
