import { type Records, valueAt } from "@partd/records";
import type { Run } from "../run/run.js";
import type { By } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import { inArrays, type Source } from "../source/input.js";
import { BatchWriter } from "../source/keyed-batch.js";
import { isRecords, RecordsInput } from "../source/records-input.js";
import type { Aggregate, ValueOf } from "./aggregates.js";
import type { FoldBatch } from "./fold.js";

/** A source as keys and the values that `aggregates` take. */
export function foldBatches<R>(
  run: Run,
  source: Source<R>,
  by: By<R>,
  aggregates: readonly Aggregate<R, unknown>[],
): AsyncGenerator<FoldBatch> {
  const keyer = new GroupKeyer(by);
  const values = new Values(aggregates);
  return isRecords(source)
    ? scannedBatches(run, source, keyer, values)
    : objectBatches(run, source, keyer, values);
}

/** A reader's records: they are parsed if a value is asked for. */
async function* scannedBatches<R>(
  run: Run,
  records: Records<R>,
  keyer: GroupKeyer<R>,
  values: Values<R>,
): AsyncGenerator<FoldBatch> {
  const input = new RecordsInput(records, keyer);
  for await (const keyed of input.batches(run.signal)) {
    if (values.isAskedFor) {
      const { bytes, ends } = keyed;
      for (let i = 0; i < keyed.count; i++) {
        values.add(input.decode(bytes, i === 0 ? 0 : ends[i - 1]!, ends[i]!));
      }
    }
    run.progress.read(keyed, input.consumed);
    yield { keyed, values: values.take() };
  }
}

/** Objects, which need not become bytes for this. */
async function* objectBatches<R>(
  run: Run,
  source: AsyncIterable<R> | Iterable<R>,
  keyer: GroupKeyer<R>,
  values: Values<R>,
): AsyncGenerator<FoldBatch> {
  const keyed = new BatchWriter();
  for await (const records of inArrays(source)) {
    for (const record of records) {
      keyed.addRecord("");
      keyer.writeKey(record, keyed);
      values.add(record);
      if (!keyed.isFull) continue;
      run.progress.read(keyed, undefined);
      yield { keyed, values: values.take() };
      keyed.clear();
    }
  }
  run.progress.read(keyed, undefined);
  yield { keyed, values: values.take() };
}

/** The values of some records: a list for each aggregate that takes one. */
class Values<R> {
  readonly isAskedFor: boolean;
  readonly #getters: readonly (((record: R) => unknown) | undefined)[];
  #lists: (unknown[] | undefined)[];

  constructor(aggregates: readonly Aggregate<R, unknown>[]) {
    this.#getters = aggregates.map(({ value }) =>
      value === undefined ? undefined : valueFunction(value),
    );
    this.#lists = this.#empty();
    this.isAskedFor = this.#getters.some((get) => get);
  }

  #empty(): (unknown[] | undefined)[] {
    return this.#getters.map((get) => get && []);
  }

  add(record: R): void {
    for (let i = 0; i < this.#getters.length; i++) {
      this.#lists[i]?.push(this.#getters[i]!(record));
    }
  }

  take(): (unknown[] | undefined)[] {
    const lists = this.#lists;
    this.#lists = this.#empty();
    return lists;
  }
}

function valueFunction<R>(value: ValueOf<R>): (record: R) => unknown {
  return typeof value === "function" ? value : (record) => valueAt(record, value);
}
