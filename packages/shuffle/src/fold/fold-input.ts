import type { Run } from "../run/run.js";
import type { By } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import type { Source } from "../source/input.js";
import { valueAt } from "../source/key.js";
import { BatchWriter } from "../source/keyed-batch.js";
import type { Aggregate, ValueOf } from "./aggregates.js";
import type { FoldBatch } from "./fold.js";

/** A source as keys and the values that `aggregates` take. */
export async function* foldBatches<R>(
  run: Run,
  source: Source<R>,
  by: By<R>,
  aggregates: readonly Aggregate<R, unknown>[],
): AsyncGenerator<FoldBatch> {
  const keyer = new GroupKeyer(by);
  const keyed = new BatchWriter();
  const getters = aggregates.map(({ value }) =>
    value === undefined ? undefined : valueFunction(value),
  );
  let values = getters.map((get) => get && ([] as unknown[]));
  for await (const records of inArrays(source)) {
    for (const record of records) {
      keyed.addRecord("");
      keyer.writeKey(record, keyed);
      for (let column = 0; column < getters.length; column++) {
        values[column]?.push(getters[column]?.(record));
      }
    }
    run.progress.read(records.length, 0);
    yield { keyed, values };
    keyed.clear();
    values = getters.map((get) => get && []);
  }
}

function valueFunction<R>(value: ValueOf<R>): (record: R) => unknown {
  return typeof value === "function" ? value : (record) => valueAt(record, value);
}

/** The records of a source, some at a time: fewer than a batch holds. */
async function* inArrays<R>(source: Source<R>): AsyncGenerator<readonly R[]> {
  let records: R[] = [];
  if (Symbol.asyncIterator in source) {
    for await (const record of source) {
      records.push(record);
      if (records.length < AT_ONCE) continue;
      yield records;
      records = [];
    }
  } else {
    for (const record of source) {
      records.push(record);
      if (records.length < AT_ONCE) continue;
      yield records;
      records = [];
    }
  }
  if (records.length > 0) yield records;
}

const AT_ONCE = 1024;
