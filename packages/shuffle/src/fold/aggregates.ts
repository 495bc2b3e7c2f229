import {
  type Column,
  CountColumn,
  ExtremeColumn,
  FirstColumn,
  LastColumn,
  MeanColumn,
  SumColumn,
} from "./columns.js";
import { type OwnAggregate, OwnColumn } from "./own-column.js";

/** Which value of a record is aggregated: a field's name, or a function. */
export type ValueOf<R> = (keyof R & string) | (string & {}) | ((record: R) => unknown);

/** One column of a result: how its value is computed for each key. */
export interface Aggregate<R, T> {
  /** The value that `column` gets; `undefined` if records are only counted. */
  readonly value: ValueOf<R> | undefined;
  column(): Column<T>;
  /** Its name in {@link MERGEABLE}, if threads can compute it together. */
  readonly name?: string | undefined;
  /** Carries the type of the result; never set. */
  readonly result?: T;
}

/** An aggregate whose result has the type of the field that it aggregates, or `None`. */
export interface FieldAggregate<F extends string, None> extends Aggregate<unknown, unknown> {
  readonly value: F;
  /** Carries a type; never set. */
  readonly none?: None;
}

/** Counts the records. */
export function count(): Aggregate<unknown, number> {
  return { name: "count", value: undefined, column: () => new CountColumn() };
}

/** Given as `None` of a {@link FieldAggregate}, says that the result is a sum. */
export interface Summed {
  readonly isSum: true;
}

/**
 * Sums numbers or bigints, and skips `null` and missing values. 0 if there are none. Bigints, which Arrow
 * and Parquet have, are added without rounding, to a bigint; with other numbers than 0 the sum is a number.
 *
 * @throws `ERR_PARTD_VALUE` while the result is read, for a value that is neither: pass a function that makes it one.
 */
export function sum<const F extends string>(value: F): FieldAggregate<F, Summed>;
export function sum<R>(value: (record: R) => number | null | undefined): Aggregate<R, number>;
export function sum<R>(value: (record: R) => bigint | null | undefined): Aggregate<R, bigint | 0>;
export function sum<R>(value: ValueOf<R>): Aggregate<R, number>;
export function sum<R>(value: ValueOf<R>): Aggregate<R, number | bigint> {
  return { name: "sum", value, column: () => new SumColumn() };
}

/**
 * The mean of numbers and bigints, a number; skips `null` and missing values. `undefined` if there are none.
 *
 * @throws `ERR_PARTD_VALUE` as {@link sum} does.
 */
export function mean<R>(value: ValueOf<R>): Aggregate<R, number | undefined> {
  return { name: "mean", value, column: () => new MeanColumn() };
}

/**
 * The least number, bigint, string or date; skips `null` and missing values. `undefined` if there are
 * none. NaN is greater than all numbers. The result has the type of the field or of the function's result;
 * text may be read as numbers, as in a CSV. To state another type: `min<Event, number>("ms")`.
 *
 * @throws `ERR_PARTD_VALUE` while the result is read, for values of two types, unless they are numbers and bigints, and
 *   for values without an order.
 */
export function min<const F extends string>(value: F): FieldAggregate<F, undefined>;
export function min<R, T>(value: (record: R) => T): Aggregate<R, NonNullable<T> | undefined>;
export function min<R, T = unknown>(value: ValueOf<R>): Aggregate<R, T | undefined>;
export function min<R>(value: ValueOf<R>): Aggregate<R, unknown> {
  return { name: "min", value, column: () => new ExtremeColumn("min") };
}

/** The greatest value; otherwise the same as {@link min}. */
export function max<const F extends string>(value: F): FieldAggregate<F, undefined>;
export function max<R, T>(value: (record: R) => T): Aggregate<R, NonNullable<T> | undefined>;
export function max<R, T = unknown>(value: ValueOf<R>): Aggregate<R, T | undefined>;
export function max<R>(value: ValueOf<R>): Aggregate<R, unknown> {
  return { name: "max", value, column: () => new ExtremeColumn("max") };
}

/** The value of the first record. Its type is found as in {@link min}. */
export function first<const F extends string>(value: F): FieldAggregate<F, never>;
export function first<R, T>(value: (record: R) => T): Aggregate<R, T>;
export function first<R, T = unknown>(value: ValueOf<R>): Aggregate<R, T>;
export function first<R>(value: ValueOf<R>): Aggregate<R, unknown> {
  return { name: "first", value, column: () => new FirstColumn() };
}

/** The value of the last record. */
export function last<const F extends string>(value: F): FieldAggregate<F, never>;
export function last<R, T>(value: (record: R) => T): Aggregate<R, T>;
export function last<R, T = unknown>(value: ValueOf<R>): Aggregate<R, T>;
export function last<R>(value: ValueOf<R>): Aggregate<R, unknown> {
  return { name: "last", value, column: () => new LastColumn() };
}

export function own<R, S, T = S>(aggregate: OwnAggregate<R, S, T>): Aggregate<R, T> {
  return { value: (record) => record, column: () => new OwnColumn(aggregate) };
}

/** Aggregates that can be computed per thread and merged. */
export const MERGEABLE: Readonly<Record<string, (value: string) => Aggregate<unknown, unknown>>> = {
  count,
  sum,
  mean,
  min,
  max,
  first,
  last,
};
