import { PartdError } from "@partd/core";
import { heapSize } from "../source/heap-size.js";
import { NO_NUMBER } from "./key-index.js";

/** Records with the numbers of their keys. */
export interface Numbered {
  readonly count: number;
  /** The number of each record's key; {@link NO_NUMBER} if it has none here. */
  readonly numbers: Uint32Array;
  /** How many keys have a number. New keys are numbered in the order in which they come. */
  readonly keys: number;
  key(number: number): unknown;
}

/** The states of all keys, by their numbers. */
export interface Column<T> {
  /** Adds the values of some records, in order. Doubles come as a `Float64Array`. */
  add(records: Numbered, values: ArrayLike<unknown>): void;
  result(number: number): T;
  /** Bytes for each key, approximately. */
  readonly bytesPerKey: number;
  /** Bytes of text and objects that the states hold in addition; `undefined` if states are numbers. */
  readonly heldBytes?: number;
  /**
   * The states as plain data, for {@link merge} in another thread; `undefined` for a caller's own
   * aggregates.
   */
  states?(keys: number): unknown;
  /**
   * Merges states: `states[i]` belongs to the key numbered `keys.numbers[i]`, and its records come
   * after all added so far.
   */
  merge?(keys: Numbered, states: never): void;
}

export class CountColumn implements Column<number> {
  readonly bytesPerKey = 12;
  #counts = new Float64Array(256);

  add({ count, numbers, keys }: Numbered): void {
    this.#counts = withRoom(this.#counts, keys);
    const counts = this.#counts;
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!;
      if (number !== NO_NUMBER) counts[number]!++;
    }
  }

  result(number: number): number {
    return this.#counts[number]!;
  }

  states(keys: number): Float64Array {
    return this.#counts.slice(0, keys);
  }

  merge({ count, numbers, keys }: Numbered, states: Float64Array): void {
    this.#counts = withRoom(this.#counts, keys);
    for (let i = 0; i < count; i++) this.#counts[numbers[i]!]! += states[i]!;
  }
}

export class SumColumn implements Column<number | bigint> {
  readonly bytesPerKey = 12;
  #sums = new Float64Array(256);
  readonly #wholes = new WholeSums();

  get heldBytes(): number {
    return this.#wholes.heldBytes;
  }

  add({ count, numbers, keys }: Numbered, values: ArrayLike<unknown>): void {
    this.#sums = withRoom(this.#sums, keys);
    const sums = this.#sums;
    if (values instanceof Float64Array) {
      for (let i = 0; i < count; i++) {
        const number = numbers[i]!;
        if (number !== NO_NUMBER) sums[number]! += values[i]!;
      }
      return;
    }
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!;
      if (number === NO_NUMBER) continue;
      const value = numeric("sum", values[i]);
      if (typeof value === "bigint") this.#wholes.add(number, value);
      else sums[number]! += value ?? 0;
    }
  }

  /** The sum of bigints is exact, unless there are also numbers other than 0. */
  result(number: number): number | bigint {
    const sum = this.#sums[number]!;
    const whole = this.#wholes.of(number);
    if (whole === undefined) return sum;
    return sum === 0 ? whole : Number(whole) + sum;
  }

  /** Without bigints: threads read files, and only records that are objects have bigints. */
  states(keys: number): Float64Array {
    return this.#sums.slice(0, keys);
  }

  merge(keys: Numbered, states: Float64Array): void {
    this.add(keys, states);
  }
}

/** The exact sums of bigints, by the numbers of their keys. */
class WholeSums {
  heldBytes = 0;
  readonly #sums = new Map<number, bigint>();

  add(number: number, value: bigint): void {
    const before = this.#sums.get(number);
    const sum = (before ?? 0n) + value;
    this.#sums.set(number, sum);
    this.heldBytes += before === undefined ? ENTRY_BYTES + heapSize(sum) : growth(before, sum);
  }

  /** `undefined` if the key had none. */
  of(number: number): bigint | undefined {
    return this.#sums.get(number);
  }
}

export class MeanColumn implements Column<number | undefined> {
  readonly bytesPerKey = 24;
  #sums = new Float64Array(256);
  #counts = new Float64Array(256);
  readonly #wholes = new WholeSums();

  get heldBytes(): number {
    return this.#wholes.heldBytes;
  }

  add({ count, numbers, keys }: Numbered, values: ArrayLike<unknown>): void {
    this.#sums = withRoom(this.#sums, keys);
    this.#counts = withRoom(this.#counts, keys);
    const sums = this.#sums;
    const counts = this.#counts;
    const areNumbers = values instanceof Float64Array;
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!;
      if (number === NO_NUMBER) continue;
      const value = areNumbers ? values[i] : numeric("mean", values[i]);
      if (value === undefined) continue;
      if (typeof value === "bigint") this.#wholes.add(number, value);
      else sums[number]! += value;
      counts[number]!++;
    }
  }

  result(number: number): number | undefined {
    const count = this.#counts[number]!;
    if (count === 0) return undefined;
    return (Number(this.#wholes.of(number) ?? 0n) + this.#sums[number]!) / count;
  }

  /** Without bigints, as in {@link SumColumn}. */
  states(keys: number): readonly [Float64Array, Float64Array] {
    return [this.#sums.slice(0, keys), this.#counts.slice(0, keys)];
  }

  merge({ count, numbers, keys }: Numbered, [sums, counts]: [Float64Array, Float64Array]): void {
    this.#sums = withRoom(this.#sums, keys);
    this.#counts = withRoom(this.#counts, keys);
    for (let i = 0; i < count; i++) {
      this.#sums[numbers[i]!]! += sums[i]!;
      this.#counts[numbers[i]!]! += counts[i]!;
    }
  }
}

type Comparable = number | bigint | string | Date;

/** Keeps numbers in a Float64Array, because most values are numbers, and others in a Map. */
export class ExtremeColumn<T> implements Column<T | undefined> {
  readonly bytesPerKey = 30;
  readonly #name: "min" | "max";
  #kinds = new Uint8Array(256);
  #bests = new Float64Array(256);
  readonly #others = new Map<number, Comparable>();
  heldBytes = 0;

  constructor(name: "min" | "max") {
    this.#name = name;
  }

  add({ count, numbers, keys }: Numbered, values: ArrayLike<unknown>): void {
    if (this.#kinds.length < keys) {
      const kinds = new Uint8Array(2 * keys);
      kinds.set(this.#kinds);
      this.#kinds = kinds;
    }
    this.#bests = withRoom(this.#bests, keys);
    const kinds = this.#kinds;
    const bests = this.#bests;
    const isMin = this.#name === "min";
    if (!(values instanceof Float64Array)) {
      for (let i = 0; i < count; i++) {
        if (numbers[i] !== NO_NUMBER) this.#addOne(numbers[i]!, values[i]);
      }
      return;
    }
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!;
      if (number === NO_NUMBER) continue;
      const value = values[i]!;
      if (kinds[number] !== BEST.number) this.#addOne(number, value);
      else if (isMin ? value < bests[number]! : value > bests[number]!) bests[number] = value;
    }
  }

  #addOne(number: number, value: unknown): void {
    if (value === undefined || value === null) return;
    const best = this.result(number) as Comparable | undefined;
    if (!isComparable(value)) throw unfit(this.#name, value, best);
    if (best !== undefined) {
      if (kindOf(value) !== kindOf(best)) throw unfit(this.#name, value, best);
      if (!(this.#name === "min" ? isLess(value, best) : isLess(best, value))) return;
    }
    const other = this.#others.get(number);
    if (typeof value === "number") {
      this.#kinds[number] = BEST.number;
      this.#bests[number] = value;
      if (this.#others.delete(number)) this.heldBytes -= ENTRY_BYTES + heapSize(other);
    } else {
      this.#kinds[number] = BEST.other;
      this.#others.set(number, value);
      this.heldBytes += other === undefined ? ENTRY_BYTES + heapSize(value) : growth(other, value);
    }
  }

  result(number: number): T | undefined {
    const kind = this.#kinds[number];
    if (kind === BEST.number) return this.#bests[number] as T;
    return kind === BEST.other ? (this.#others.get(number) as T) : undefined;
  }

  states(keys: number): readonly unknown[] {
    return Array.from({ length: keys }, (_, number) => this.result(number));
  }

  merge(keys: Numbered, states: readonly unknown[]): void {
    this.add(keys, states);
  }
}

/** Only values of one kind can be compared. A bigint and a number are of one kind. */
function kindOf(value: Comparable): string {
  return typeof value === "bigint" ? "number" : typeof value;
}

/**
 * Compares in the order of `sort`: NaN comes after all numbers, an invalid Date after all dates, and text
 * goes by its code points.
 */
function isLess(left: Comparable, right: Comparable): boolean {
  if (typeof left === "string" && typeof right === "string" && SURROGATE.test(left + right)) {
    return Buffer.compare(Buffer.from(left), Buffer.from(right)) < 0;
  }
  return left < right || (isOrdered(left) && !isOrdered(right));
}

/** A surrogate. JavaScript compares UTF-16 units, which puts U+10000 and above before U+E000. */
const SURROGATE = /[\ud800-\udfff]/;

function isOrdered(value: Comparable): boolean {
  const type = typeof value;
  return type === "string" || type === "bigint" || !Number.isNaN(Number(value));
}

/** Where the best value of a key is. */
const BEST = { none: 0, number: 1, other: 2 } as const;
/** Bytes of an entry of a Map. */
const ENTRY_BYTES = 40;

function growth(from: unknown, to: unknown): number {
  return heapSize(to) - heapSize(from);
}

/** The first value of each key. */
export class FirstColumn<T> implements Column<T> {
  readonly bytesPerKey = 200;
  heldBytes = 0;
  readonly #values: unknown[] = [];

  add({ count, numbers }: Numbered, values: ArrayLike<unknown>): void {
    for (let i = 0; i < count; i++) {
      if (numbers[i] !== this.#values.length) continue;
      this.#values.push(values[i]);
      this.heldBytes += heapSize(values[i]);
    }
  }

  result(number: number): T {
    return this.#values[number] as T;
  }

  states(): readonly unknown[] {
    return this.#values;
  }

  merge(keys: Numbered, states: readonly unknown[]): void {
    this.add(keys, states);
  }
}

/** The last value of each key. */
export class LastColumn<T> implements Column<T> {
  readonly bytesPerKey = 200;
  heldBytes = 0;
  readonly #values: unknown[] = [];

  add({ count, numbers }: Numbered, values: ArrayLike<unknown>): void {
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!;
      if (number === NO_NUMBER) continue;
      this.heldBytes += growth(this.#values[number], values[i]);
      this.#values[number] = values[i];
    }
  }

  result(number: number): T {
    return this.#values[number] as T;
  }

  states(): readonly unknown[] {
    return this.#values;
  }

  merge(keys: Numbered, states: readonly unknown[]): void {
    this.add(keys, states);
  }
}

export function withRoom(
  array: Float64Array<ArrayBuffer>,
  length: number,
): Float64Array<ArrayBuffer> {
  if (length <= array.length) return array;
  const larger = new Float64Array(2 * length);
  larger.set(array);
  return larger;
}

/** Returns the number or bigint; `undefined` for a value that is skipped. */
function numeric(name: string, value: unknown): number | bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (value === undefined || value === null) return undefined;
  throw unfit(name, value);
}

function isComparable(value: unknown): value is Comparable {
  const type = typeof value;
  return type === "number" || type === "string" || type === "bigint" || value instanceof Date;
}

function unfit(name: string, value: unknown, best?: Comparable): PartdError {
  const what =
    typeof value === "object"
      ? "an object"
      : `${JSON.stringify(String(value)).slice(0, 60)} (a ${typeof value})`;
  const rule = best === undefined ? "takes numbers" : `has seen a ${typeof best} before`;
  return new PartdError(
    "ERR_PARTD_VALUE",
    `${name} ${rule}, and a record has ${what}: give a function that converts it, as in ${name}((record) => Number(record.field)).`,
  );
}
