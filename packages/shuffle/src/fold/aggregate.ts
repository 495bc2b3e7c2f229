import { PartdError } from "@partd/core";
import { checkOptionNames, type OptionNames } from "@partd/core/author";
import { Output, type Start } from "../run/output.js";
import type { Operation } from "../run/record-limit.js";
import { RUN_OPTIONS, Run, type RunOptions } from "../run/run.js";
import type { By, KeyOf } from "../source/by.js";
import { fieldsOf } from "../source/by.js";
import { byteLengthOf, checkSource, type Source } from "../source/input.js";
import type { MissingOption } from "../source/missing.js";
import { type Aggregate, count, type FieldAggregate, own, type Summed } from "./aggregates.js";
import { type EncodedEntries, type FoldTable, fold } from "./fold.js";
import { foldBatches } from "./fold-input.js";
import type { OwnAggregate } from "./own-column.js";

export interface CountByOptions<R, B extends By<R>> extends RunOptions, MissingOption {
  /** The key of a record: a field's name, several names, or a function. */
  readonly by: B;
  /**
   * How many threads read, if keys and values are fields of plain files. The number changes the order
   * in which fractions are added, and so the rounding of sums. Default: the number of processors, at
   * most 4 and at most 1 + `memory` / 128 MB; one for less than 64 MiB of input.
   */
  readonly threads?: number | undefined;
}

const COUNT_OPTIONS: OptionNames<CountByOptions<unknown, By<unknown>>> = {
  by: true,
  missing: true,
  threads: true,
  ...RUN_OPTIONS,
};

/**
 * Counts the records of each key.
 *
 * ```ts
 * const counts = await countBy(events, { by: "user" }).toMap();
 * ```
 *
 * @throws what {@link RunOptions} lists.
 */
export function countBy<R, const B extends By<R>>(
  source: Source<R>,
  options: CountByOptions<R, B>,
): CountOutput<KeyOf<R, B>> {
  checkOptionNames("countBy", options, COUNT_OPTIONS);
  const counts = generating("countBy", source, options, { count: count() });
  return new CountOutput(
    rowsOf<KeyOf<R, B>, number>(counts, ([counted]) => counted as number),
    (signal) => counts(signal, (table) => table.encoded()),
    options.signal,
  );
}

export interface ReduceByOptions<R, B extends By<R>, A> extends CountByOptions<R, B> {
  /** Returns the first accumulator of a key. */
  readonly initial: (key: KeyOf<R, B>) => A;
  /**
   * Gets the records of each key in order, and returns the next accumulator, which may be the changed
   * one.
   */
  readonly reduce: (accumulator: A, record: R) => A;
}

const REDUCE_OPTIONS: OptionNames<ReduceByOptions<unknown, By<unknown>, unknown>> = {
  ...COUNT_OPTIONS,
  initial: true,
  reduce: true,
};

/**
 * Reduces the records of each key to one value. Accumulators stay in memory: for what grows with each
 * record, such as a list of them, use `groupBy`.
 *
 * @throws what {@link RunOptions} lists; `ERR_PARTD_VALUE` if accumulators have grown beyond `memory`.
 */
export function reduceBy<R, const B extends By<R>, A>(
  source: Source<R>,
  options: ReduceByOptions<R, B, A>,
): EntryOutput<KeyOf<R, B>, A> {
  checkOptionNames("reduceBy", options, REDUCE_OPTIONS);
  const { initial, reduce } = options;
  for (const [name, given] of Object.entries({ initial, reduce })) {
    if (typeof given === "function") continue;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${name} must be a function, as in { initial: () => 0, reduce: (sum, { ms }) => sum + ms }, not ${String(given)}.`,
    );
  }
  const reduced = own({ initial: initial as (key: unknown) => A, add: reduce });
  return entries("reduceBy", source, options, { reduced }, ([result]) => result as A);
}

/**
 * The aggregates to compute, by the names of their results: `count()`, `sum("ms")` …, or an {@link
 * OwnAggregate}.
 */
export type Selection<R> = {
  readonly [name: string]: Aggregate<R, unknown> | AnyOwnAggregate<R>;
};

/** An {@link OwnAggregate} with a state of any type. */
export interface AnyOwnAggregate<R> {
  initial(key: unknown): unknown;
  add(state: never, record: R): unknown;
  finish?(state: never): unknown;
}

/** The result of a selection for one key. */
export type Aggregated<S, R = unknown> = {
  -readonly [N in keyof S]: S[N] extends FieldAggregate<infer F, infer None>
    ? FieldValue<R, F, None>
    : S[N] extends Aggregate<never, infer T>
      ? T
      : S[N] extends { finish(state: never): infer T }
        ? T
        : S[N] extends { initial(key: never): infer T }
          ? T
          : never;
};

/**
 * `min` and `max` skip `null` and missing values, and give `None` if there is nothing else; `first` and
 * `last` do not skip.
 */
type FieldValue<R, F extends string, None> = [None] extends [never]
  ? OrNumber<KeyOf<R, F>>
  : [None] extends [Summed]
    ? SumOf<NonNullable<KeyOf<R, F>>>
    : unknown extends KeyOf<R, F>
      ? unknown
      : OrNumber<NonNullable<KeyOf<R, F>>> | None;

/** The sum of a field of unknown type may be a number or a bigint. */
type SumOf<T> = unknown extends T
  ? number | bigint
  : [T] extends [bigint]
    ? bigint | 0
    : number | (bigint extends T ? bigint : never);

/** In a CSV every field is text; text that is a number is read as one. */
type OrNumber<T> = T extends string ? T | number : T;

export interface AggregateOptions<R, B extends By<R>, S> extends CountByOptions<R, B> {
  /** The aggregates to compute for each key. */
  readonly select: S;
}

const AGGREGATE_OPTIONS: OptionNames<AggregateOptions<unknown, By<unknown>, unknown>> = {
  ...COUNT_OPTIONS,
  select: true,
};

/**
 * Computes several aggregates for each key in one pass.
 *
 * ```ts
 * const select = { n: count(), total: sum("ms"), slowest: max("ms") };
 * for await (const [user, { n, total }] of aggregate(events, { by: "user", select })) { … }
 * ```
 *
 * @throws what {@link RunOptions} lists.
 */
export function aggregate<R, const B extends By<R>, S extends Selection<R>>(
  source: Source<R>,
  options: AggregateOptions<R, B, S>,
): EntryOutput<KeyOf<R, B>, Aggregated<S, R>> {
  checkOptionNames("aggregate", options, AGGREGATE_OPTIONS);
  if (typeof options.select !== "object" || options.select === null) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `select must be an object of aggregates, as in { n: count(), total: sum("ms") }, not ${String(options.select)}.`,
    );
  }
  const toRow = objectsOf<S, R>(Object.keys(options.select));
  return entries("aggregate", source, options, options.select, toRow);
}

/** Makes the object of a key's results. */
function objectsOf<S, R>(names: readonly string[]): (results: unknown[]) => Aggregated<S, R> {
  // Takes four times as long as assignments, which would set the prototype of the result.
  if (names.includes("__proto__")) {
    return (results) => {
      return Object.fromEntries(names.map((name, i) => [name, results[i]])) as Aggregated<S, R>;
    };
  }
  return (results) => {
    const row: Record<string, unknown> = {};
    for (let i = 0; i < names.length; i++) row[names[i]!] = results[i];
    return row as Aggregated<S, R>;
  };
}

function entries<R, B extends By<R>, V>(
  operation: Operation,
  source: Source<R>,
  options: CountByOptions<R, B>,
  selection: Selection<R>,
  toValue: (results: unknown[]) => V,
): EntryOutput<KeyOf<R, B>, V> {
  const generate = generating(operation, source, options, selection);
  return new EntryOutput(rowsOf<KeyOf<R, B>, V>(generate, toValue), options.signal);
}

function rowsOf<K, V>(
  generate: Generate,
  toValue: (results: unknown[]) => V,
): Start<readonly (readonly [K, V])[]> {
  return (signal) =>
    generate(signal, async function* (table) {
      for await (const results of table.results()) {
        yield results.map(([key, values]) => [key as K, toValue(values)] as const);
      }
    });
}

/** Begins the run, and yields what `resultsOf` makes of each table of keys. */
type Generate = <T>(
  signal: AbortSignal,
  resultsOf: (table: FoldTable) => AsyncIterable<T>,
) => AsyncGenerator<T>;

function generating<R, B extends By<R>>(
  operation: Operation,
  source: Source<R>,
  options: CountByOptions<R, B>,
  selection: Selection<R>,
): Generate {
  checkSource(source);
  fieldsOf(options.by);
  const aggregates = Object.entries(selection).map(([name, one]) => toAggregate(name, one));
  return async function* (signal, resultsOf) {
    const run = new Run(operation, { ...options, signal }, await byteLengthOf(source));
    try {
      const batches = foldBatches(run, source, options, aggregates);
      yield* fold(run, batches, aggregates, resultsOf);
      run.progress.done();
    } finally {
      await run.close();
    }
  };
}

function toAggregate<R>(name: string, one: Selection<R>[string]): Aggregate<R, unknown> {
  if (typeof one === "object" && one !== null) {
    if ("column" in one) return one;
    if (typeof one.initial === "function" && typeof one.add === "function") {
      return own(one as OwnAggregate<R, unknown, unknown>);
    }
  }
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `select.${name} is an aggregate such as count() or sum("ms"), or an object of initial, add and finish.`,
  );
}

/** Keys with their results, in no order. */
export class EntryOutput<K, V> extends Output<readonly [K, V]> {
  /** Collects all entries, which have to fit in memory. */
  async toMap(): Promise<Map<K, V>> {
    const map = new Map<K, V>();
    for await (const batch of this.batches()) for (const [key, value] of batch) map.set(key, value);
    return map;
  }
}

/** Keys with the number of their records, in no order. */
export class CountOutput<K> extends EntryOutput<K, number> {
  readonly #encoded: Start<EncodedEntries>;

  constructor(
    start: Start<readonly (readonly [K, number])[]>,
    encoded: Start<EncodedEntries>,
    signal: AbortSignal | undefined,
  ) {
    super(start, signal);
    this.#encoded = encoded;
  }

  /**
   * Yields the keys encoded, without a string and an array for each, for callers that write keys as
   * bytes. Read either these or the entries, once.
   */
  encoded(): AsyncIterable<EncodedEntries> {
    return { [Symbol.asyncIterator]: () => this.begin(this.#encoded) };
  }
}
