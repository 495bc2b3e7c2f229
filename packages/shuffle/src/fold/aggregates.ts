import { PartdError } from "@partd/core";

/** Which value of a record is aggregated: a field's name, or a function. */
export type ValueOf<R> = (keyof R & string) | (string & {}) | ((record: R) => unknown);

/** One column of a result: what is kept for each key, and what becomes of it. */
export interface Aggregate<R, T> {
  /** The value that `column` takes; none where records are only counted. */
  readonly value: ValueOf<R> | undefined;
  column(): Column<T>;
  /** Carries the type of the result; never set. */
  readonly result?: T;
}

/** The states of all keys, by their numbers. */
export interface Column<T> {
  /** Takes a record's value; `isNew` if it is the first of its key. */
  add(index: number, value: unknown, isNew: boolean, key: () => unknown): void;
  result(index: number): T;
  /** Bytes for each key, roughly. */
  readonly bytesPerKey: number;
}

/** How many records there are. */
export function count(): Aggregate<unknown, number> {
  return { value: undefined, column: () => new NumberColumn((sum) => sum + 1) };
}

/** The sum of numbers; `null` and missing values are passed over. 0 if there are none. */
export function sum<R>(value: ValueOf<R>): Aggregate<R, number> {
  return { value, column: () => new NumberColumn((sum, value) => sum + numeric("sum", value, 0)) };
}

/** The mean of numbers; `null` and missing values are passed over. `undefined` if there are none. */
export function mean<R>(value: ValueOf<R>): Aggregate<R, number | undefined> {
  return { value, column: () => new MeanColumn() };
}

/** The least number, bigint, string or date; `null` and missing values are passed over. */
export function min<R, T = number>(value: ValueOf<R>): Aggregate<R, T | undefined> {
  return { value, column: () => new ExtremeColumn<T>("min", (next, best) => next < best) };
}

/** The greatest number, bigint, string or date; `null` and missing values are passed over. */
export function max<R, T = number>(value: ValueOf<R>): Aggregate<R, T | undefined> {
  return { value, column: () => new ExtremeColumn<T>("max", (next, best) => next > best) };
}

/** The value of the first record. */
export function first<R, T = unknown>(value: ValueOf<R>): Aggregate<R, T> {
  return {
    value,
    column: () =>
      new StateColumn((state: unknown, next, isNew) => (isNew ? next : state)) as Column<T>,
  };
}

/** The value of the last record. */
export function last<R, T = unknown>(value: ValueOf<R>): Aggregate<R, T> {
  return { value, column: () => new StateColumn((_: unknown, next) => next) as Column<T> };
}

/** An aggregate of one's own: `add` takes the records of each key in order. */
export interface OwnAggregate<R, S, T = S> {
  initial(key: unknown): S;
  add(state: S, record: R): S;
  finish?(state: S): T;
}

export function own<R, S, T = S>({ initial, add, finish }: OwnAggregate<R, S, T>): Aggregate<R, T> {
  return {
    value: (record) => record,
    column: () =>
      new StateColumn<S, T>(
        (state, record, isNew, key) => add(isNew ? initial(key()) : (state as S), record as R),
        finish,
      ),
  };
}

class NumberColumn implements Column<number> {
  readonly bytesPerKey = 12;
  readonly #next: (state: number, value: unknown) => number;
  #states = new Float64Array(256);

  constructor(next: (state: number, value: unknown) => number) {
    this.#next = next;
  }

  add(index: number, value: unknown): void {
    if (index >= this.#states.length) this.#states = grown(this.#states);
    this.#states[index] = this.#next(this.#states[index]!, value);
  }

  result(index: number): number {
    return this.#states[index]!;
  }
}

class MeanColumn implements Column<number | undefined> {
  readonly bytesPerKey = 24;
  #sums = new Float64Array(256);
  #counts = new Float64Array(256);

  add(index: number, value: unknown): void {
    if (index >= this.#sums.length) {
      this.#sums = grown(this.#sums);
      this.#counts = grown(this.#counts);
    }
    if (value === undefined || value === null) return;
    this.#sums[index]! += numeric("mean", value, 0);
    this.#counts[index]!++;
  }

  result(index: number): number | undefined {
    return this.#counts[index] === 0 ? undefined : this.#sums[index]! / this.#counts[index]!;
  }
}

type Comparable = number | bigint | string | Date;

class ExtremeColumn<T> implements Column<T | undefined> {
  readonly bytesPerKey = 60;
  readonly #name: string;
  readonly #isBetter: (next: Comparable, best: Comparable) => boolean;
  readonly #best: (Comparable | undefined)[] = [];

  constructor(name: string, isBetter: (next: Comparable, best: Comparable) => boolean) {
    this.#name = name;
    this.#isBetter = isBetter;
  }

  add(index: number, value: unknown): void {
    const best = this.#best[index];
    if (value === undefined || value === null) {
      this.#best[index] = best;
      return;
    }
    if (best === undefined) {
      if (!isComparable(value)) throw unfit(this.#name, value);
      this.#best[index] = value;
      return;
    }
    if (!isComparable(value) || typeof value !== typeof best) throw unfit(this.#name, value, best);
    if (this.#isBetter(value, best)) this.#best[index] = value;
  }

  result(index: number): T | undefined {
    return this.#best[index] as T | undefined;
  }
}

class StateColumn<S, T = S> implements Column<T> {
  readonly bytesPerKey = 200;
  readonly #next: (state: S | undefined, value: unknown, isNew: boolean, key: () => unknown) => S;
  readonly #finish: ((state: S) => T) | undefined;
  readonly #states: S[] = [];

  constructor(
    next: (state: S | undefined, value: unknown, isNew: boolean, key: () => unknown) => S,
    finish?: (state: S) => T,
  ) {
    this.#next = next;
    this.#finish = finish;
  }

  add(index: number, value: unknown, isNew: boolean, key: () => unknown): void {
    this.#states[index] = this.#next(this.#states[index], value, isNew, key);
  }

  result(index: number): T {
    const state = this.#states[index]!;
    return this.#finish ? this.#finish(state) : (state as unknown as T);
  }
}

function numeric(name: string, value: unknown, missing: number): number {
  if (typeof value === "number") return value;
  if (value === undefined || value === null) return missing;
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
  const rule = best === undefined ? "takes numbers" : `has met a ${typeof best} before`;
  return new PartdError(
    "ERR_PARTD_VALUE",
    `${name} ${rule}, and a record has ${what}: give a function that converts it, as in ${name}((record) => Number(record.field)).`,
  );
}

function grown(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(2 * array.length);
  larger.set(array);
  return larger;
}
