import {
  type KeyTotals,
  type Records,
  type Scan,
  type Scanner,
  VALUE_KIND,
  valueAt,
} from "@partd/records";
import { batchOptions, type Reading } from "../run/record-limit.js";
import type { Run } from "../run/run.js";
import type { By } from "../source/by.js";
import { FieldWatch } from "../source/field-watch.js";
import { GroupKeyer } from "../source/group-keyer.js";
import { heapSize } from "../source/heap-size.js";
import { inArrays, isRecords, RecordsInput, type Source } from "../source/input.js";
import { BatchWriter, selected } from "../source/keyed-batch.js";
import { type Missing, type MissingOption, presentIn } from "../source/missing.js";
import { encodeStructured } from "../source/structured.js";
import { readByThreads, type Share, ShareResult, startShares } from "../threads/share-threads.js";
import { threadProgram } from "../threads/thread-program.js";
import type { Aggregate, ValueOf } from "./aggregates.js";
import { BATCH_BYTES, type FoldBatch, type FoldedShare } from "./fold.js";

interface FoldOptions<R> extends MissingOption {
  readonly by: By<R>;
  readonly threads?: number | undefined;
}

/** Yields a source as keys and the values that `aggregates` take. */
export function foldBatches<R>(
  run: Run,
  source: Source<R>,
  options: FoldOptions<R>,
  aggregates: readonly Aggregate<R, unknown>[],
): AsyncGenerator<FoldBatch | ShareResult<FoldedShare>> {
  const keyer = new GroupKeyer(options.by, options);
  const values = new Values(aggregates, options);
  if (!isRecords(source)) return objectBatches(run, source, keyer, values);
  const { fields: keyFields } = keyer;
  const { fields: valueFields } = values;
  return keyFields && valueFields
    ? scannedBatches(run, source, keyer, values, { keyFields, valueFields }, options.threads)
    : parsedBatches(run, source, keyer, values);
}

/** Yields what the scanner finds of a reader's records, without parsing them, in threads if they can be divided. */
async function* scannedBatches<R>(
  run: Run,
  records: Records<R>,
  keyer: GroupKeyer<R>,
  values: Values<R>,
  { keyFields, valueFields }: Pick<FieldPlan, "keyFields" | "valueFields">,
  threads: number | undefined,
): AsyncGenerator<FoldBatch | ShareResult<FoldedShare>> {
  const { missing } = keyer;
  const { names } = values;
  const plan = { keyFields, valueFields, names, missing };
  const mostBytes = run.workspace.byteLength * TOTALS_SHARE;
  const onRead = (scan: Scan, consumed: number) => {
    keyer.watch?.scanned(scan, records);
    values.watch?.scannedValues(scan, values.asked, records);
    run.progress.read(scan, consumed);
  };
  // Totals can be merged while the table is empty, because no values have been spilled then.
  const batchesOf = async function* (sources: Iterable<Records<R>>, isFirst: boolean) {
    const batches = fieldBatches(sources, plan, isFirst ? mostBytes : 0, run.reading, onRead);
    for await (const batch of batches) {
      yield "states" in batch ? new ShareResult(batch) : batch;
    }
  };
  const watches = [keyer.watch, values.watch];
  const program = threadProgram(() => new URL("./fold-worker.js", import.meta.url), threads);
  const shares =
    program &&
    names &&
    (await startShares<FoldedShare>(run, records, missing, watches, threads, program));
  if (shares) yield* readByThreads(run, shares, plan, batchesOf);
  else yield* batchesOf([records], true);
  keyer.end();
  values.end();
}

/** Yields the keys and values of a reader's records, each of which is parsed: a function gives the key or a value. */
async function* parsedBatches<R>(
  run: Run,
  records: Records<R>,
  keyer: GroupKeyer<R>,
  values: Values<R>,
): AsyncGenerator<FoldBatch> {
  const input = new RecordsInput(records, keyer);
  for await (const keyed of input.batches(run.reading)) {
    const { bytes, ends } = keyed;
    for (let i = 0; i < keyed.count; i++) {
      values.add(input.decode(bytes, i === 0 ? 0 : ends[i - 1]!, ends[i]!));
    }
    run.progress.read(keyed, input.consumed);
    yield { keyed, values: values.take() };
  }
  values.end();
}

/** The share of memory for the scanner's totals: half of that for states, which the totals become. */
const TOTALS_SHARE = 0.2;

/** The fields that a scanner finds for a fold. */
interface FieldPlan {
  readonly keyFields: readonly string[];
  /** The field of each aggregate; `undefined` for one that takes none. */
  readonly valueFields: readonly (string | undefined)[];
  /** The names of the aggregates in `MERGEABLE`; `undefined` unless all are there. */
  readonly names: readonly string[] | undefined;
  readonly missing: Missing;
}

/** The start data of a thread that folds. */
export interface FoldJob extends FieldPlan, Share {
  readonly names: readonly string[];
}

/**
 * Yields keys and values as the scanner finds them, without parsing. As long as all values are numbers,
 * the scanner itself aggregates them, in a fifth of the time; its share comes before all batches.
 *
 * @param mostBytes memory for the scanner's totals.
 */
export async function* fieldBatches<R>(
  sources: Iterable<Records<R>>,
  { keyFields, valueFields, names, missing }: FieldPlan,
  mostBytes: number,
  reading: Reading,
  onRead: (scan: Scan, consumed: number) => void,
): AsyncGenerator<FoldBatch | FoldedShare> {
  const asked = fieldsAmong(valueFields);
  const fields = valueFields.map((field) => (field === undefined ? -1 : asked.indexOf(field)));
  let totalled = mostBytes > 0 && names && areInTotals(names) ? names : undefined;
  let scanner: Scanner | undefined;
  for (const records of sources) {
    scanner ??= records.format.scanner(keyFields, {
      values: asked,
      totals: totalled !== undefined,
    });
    for await (const batch of records.batches(batchOptions(reading))) {
      const scan: Scan = scanner.scan(batch);
      onRead(scan, batch.consumed);
      const present = presentIn(scan, batch, keyFields, missing);
      if (totalled) {
        const { totals }: Scanner = scanner;
        const isAdded = !present && totals?.add(scan) === true;
        if (isAdded && totals.byteLength <= mostBytes) continue;
        if (totals) yield shareOf(totals.take(), totalled, fields);
        totalled = undefined;
        // Replacing the scanner frees its totals.
        scanner = records.format.scanner(keyFields, { values: asked });
        if (isAdded) continue;
      }
      const found = new Map(
        asked.map((field, i) => [field, scannedValues(records, scan, field, i)] as const),
      );
      const values = valueFields.map((field) =>
        field === undefined ? undefined : found.get(field),
      );
      yield present
        ? { keyed: selected(scan, present), values: values.map((list) => picked(list, present)) }
        : { keyed: scan, values };
    }
  }
  if (totalled && scanner?.totals) yield shareOf(scanner.totals.take(), totalled, fields);
}

/** Each field once, in the order in which a scanner is asked for them. */
function fieldsAmong(values: readonly unknown[]): readonly string[] {
  return [...new Set(values)].filter((value) => typeof value === "string");
}

function picked(
  values: ArrayLike<unknown> | undefined,
  indices: readonly number[],
): ArrayLike<unknown> | undefined {
  if (values instanceof Float64Array) return Float64Array.from(indices, (i) => values[i]!);
  return values && indices.map((i) => values[i]);
}

/** The values of a field: numbers as they are, anything else by parsing its record. */
function scannedValues<R>(
  records: Records<R>,
  scan: Scan,
  field: string,
  index: number,
): ArrayLike<unknown> {
  const numbers = scan.numbers(index);
  const kinds = scan.kinds(index);
  let others = 0;
  for (let i = 0; i < scan.count; i++) if (kinds[i] !== VALUE_KIND.number) others++;
  if (others === 0) return numbers;
  const values: unknown[] = [];
  for (let i = 0, start = 0; i < scan.count; i++) {
    const end = scan.ends[i]!;
    if (kinds[i] === VALUE_KIND.number) values.push(numbers[i]);
    else if (kinds[i] === VALUE_KIND.missing) values.push(undefined);
    else if (kinds[i] === VALUE_KIND.null) values.push(null);
    else values.push(valueAt(records.format.parse(scan.bytes, start, end), field));
    start = end;
  }
  return values;
}

/** Reads objects, which need not be encoded to bytes for this. */
async function* objectBatches<R>(
  run: Run,
  source: AsyncIterable<R> | Iterable<R>,
  keyer: GroupKeyer<R>,
  values: Values<R>,
): AsyncGenerator<FoldBatch> {
  const keyed = new BatchWriter();
  let byteLength = 0;
  for await (const records of inArrays(source, run.signal)) {
    for (const record of records) {
      keyed.addRecord("");
      const bytes = () => new Uint8Array(Buffer.from(encodeStructured(record)));
      if (!keyer.writeKey(record, keyed, bytes)) continue;
      values.add(record);
      if (keyed.count % MEASURED === 0) byteLength += MEASURED * values.lastSize;
      if (!keyed.isFull && byteLength < BATCH_BYTES) continue;
      run.progress.read(keyed, undefined);
      yield { keyed, values: values.take() };
      keyed.clear();
      byteLength = 0;
    }
  }
  run.progress.read(keyed, undefined);
  yield { keyed, values: values.take() };
  keyer.end();
  values.end();
}

/** One value in this many is measured: measuring each would take a tenth of the time. */
const MEASURED = 8;

/** The values of some records: a list for each aggregate that takes one. */
class Values<R> {
  /** The fields that are aggregated; `undefined` if a function is. */
  readonly fields: readonly (string | undefined)[] | undefined;
  /** The names of the aggregates; `undefined` if threads cannot make all of them. */
  readonly names: readonly string[] | undefined;
  /** The fields, each once. */
  readonly asked: readonly string[];
  /** `undefined` if records are expected to lack fields. */
  readonly watch: FieldWatch | undefined;
  readonly #getters: readonly (((record: R) => unknown) | undefined)[];
  #lists: (unknown[] | undefined)[];

  constructor(aggregates: readonly Aggregate<R, unknown>[], { missing }: MissingOption) {
    this.#getters = aggregates.map(({ value }) =>
      value === undefined ? undefined : valueFunction(value),
    );
    this.#lists = this.#empty();
    const names = aggregates.map(({ name }) => name);
    if (names.every((name) => name !== undefined)) this.names = names;
    const fields = aggregates.map(({ value }) => value);
    if (fields.every((field) => typeof field !== "function")) this.fields = fields;
    this.asked = fieldsAmong(fields);
    if (missing !== "keep" && this.asked.length > 0) {
      this.watch = new FieldWatch(this.asked, "", ADVICE);
    }
  }

  #empty(): (unknown[] | undefined)[] {
    return this.#getters.map((get) => get && []);
  }

  add(record: R): void {
    this.watch?.parsed(record);
    for (let i = 0; i < this.#getters.length; i++) {
      this.#lists[i]?.push(this.#getters[i]!(record));
    }
  }

  /** Bytes of the last record's values, without numbers. */
  get lastSize(): number {
    let size = 0;
    for (const list of this.#lists) {
      const value = list?.[list.length - 1];
      if (typeof value !== "number" && value !== undefined) size += heapSize(value);
    }
    return size;
  }

  /** @throws `ERR_PARTD_VALUE` for a field that no record has. */
  end(): void {
    this.watch?.end();
  }

  take(): (unknown[] | undefined)[] {
    const lists = this.#lists;
    this.#lists = this.#empty();
    return lists;
  }
}

const ADVICE = "If all may lack it, aggregate a function of the record.";

function valueFunction<R>(value: ValueOf<R>): (record: R) => unknown {
  return typeof value === "function" ? value : (record) => valueAt(record, value);
}

/** Whether a scanner's totals give all of these aggregates. */
function areInTotals(names: readonly string[]): boolean {
  return names.every((name) => Object.hasOwn(STATES, name));
}

/**
 * Converts a scanner's totals to the states of aggregates.
 *
 * @param names their names in `MERGEABLE`.
 * @param fields for each aggregate, which of the scanner's values it takes.
 */
function shareOf(
  totals: KeyTotals,
  names: readonly string[],
  fields: readonly number[],
): FoldedShare {
  const { count, keys, keyEnds, hashLow, hashHigh } = totals;
  const keyStarts = new Uint32Array(count);
  if (count > 0) keyStarts.set(keyEnds.subarray(0, count - 1), 1);
  const states = names.map((name, i) => STATES[name as keyof typeof STATES](totals, fields[i]!));
  return { keyed: { count, keys, keyStarts, keyEnds, hashLow, hashHigh }, states };
}

/** The states that the column of each name merges. */
const STATES = {
  count: ({ records }: KeyTotals) => records,
  sum: ({ values }: KeyTotals, field: number) => values[field]!.sums,
  mean: ({ values }: KeyTotals, field: number) => {
    const { sums, counts } = values[field]!;
    return [sums, counts] as const;
  },
  min: ({ values }: KeyTotals, field: number) => {
    const { counts, minima } = values[field]!;
    return whereCounted(counts, minima);
  },
  max: ({ values }: KeyTotals, field: number) => {
    const { counts, maxima } = values[field]!;
    return whereCounted(counts, maxima);
  },
};

/** The best numbers, with `undefined` for keys that have none. */
function whereCounted(counts: Float64Array, bests: Float64Array): ArrayLike<number | undefined> {
  if (!counts.includes(0)) return bests;
  return Array.from(bests, (best, n) => (counts[n] === 0 ? undefined : best));
}
