import { Dict, type Key, type OperationOptions } from "@partd/core";
import fc from "fast-check";

/** The least memory that may be asked for: about 800 blocks of 1 KiB. */
export const LITTLE = 1e6;

export interface Event {
  readonly key: unknown;
  readonly i: number;
  readonly ms: number;
  readonly pad: string;
}

/** A workload whose records are made again from its few numbers. */
export interface Workload {
  readonly count: number;
  readonly keys: number;
  /** Of ten records, so many have the key 0. */
  readonly skew: number;
  readonly padding: number;
  readonly seed: number;
}

export const workloads: fc.Arbitrary<Workload> = fc.record({
  count: fc.integer({ min: 0, max: 6000 }),
  keys: fc.constantFrom(1, 2, 3, 50, 1000, 100_000),
  skew: fc.constantFrom(0, 0, 5, 9),
  padding: fc.constantFrom(0, 20, 300, 700),
  seed: fc.integer({ min: 0, max: 0x7fff_ffff }),
});

export function* events({ count, keys, skew, padding, seed }: Workload): Generator<Event> {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 0x5bd1e995) + 0x3c6ef35f) >>> 0;
    return Math.imul(state ^ (state >>> 15), 0x9e3779b1) >>> 0;
  };
  for (let i = 0; i < count; i++) {
    const number = random() % 10 < skew ? 0 : random() % keys;
    // Keys of every type, 1 and "1" among them.
    const key = [number, `${number}`, BigInt(number), [number, "x"], null][number % 5];
    yield { key: keys > 3 ? key : number, i, ms: random() % 100, pad: "é".repeat(padding / 2) };
  }
}

/** A text for a key of any type, the same for equal keys alone. */
export function nameOf(key: unknown): string {
  if (Array.isArray(key)) return `[${key.map(nameOf)}]`;
  return `${typeof key}:${String(key)}`;
}

/** What `groupBy` should give: the numbers of each key's records, in order. */
export function model(records: Iterable<Event>): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const { key, i } of records) {
    const name = nameOf(key);
    const group = groups.get(name);
    if (group) group.push(i);
    else groups.set(name, [i]);
  }
  return groups;
}

/** A store that counts the streams that nobody has ended. */
export class StreamCounter extends Dict {
  open = 0;

  override async *stream(key: Key, options?: OperationOptions): AsyncGenerator<Uint8Array> {
    this.open++;
    try {
      yield* super.stream(key, options);
    } finally {
      this.open--;
    }
  }
}
