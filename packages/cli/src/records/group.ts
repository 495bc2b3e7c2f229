import { isPartdError } from "@partd/core";
import { aggregate, type By, groupBy } from "@partd/shuffle";
import type { Action, Call } from "../command/command.js";
import { Failure, UsageError } from "../command/failure.js";
import { aggregateColumns, Columns } from "./aggregate-columns.js";
import { keyBy, partsOf, RecordRun, requireBy } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";
import { resultNames, resultShape } from "./result-names.js";

/** `partd group`. */
export const group: Action = async (call) => {
  const columns = aggregateColumns(call.options);
  const fields = call.options.list("by");
  if (fields.length === 0 && columns.length === 0) {
    throw new UsageError("group needs --by FIELD, or sums of all records, such as --count");
  }
  requireBy(call, fields, ["missing"]);
  const nulls = call.options.list("null");
  const asked = [...fields, ...columns.flatMap(({ field }) => field ?? [])];
  const wanted =
    columns.length > 0
      ? { asked, required: fields, isAll: true, operation: "aggregate" as const }
      : { asked, required: fields };
  return RecordRun.do(call, wanted, async (run) => {
    if (columns.length === 0) await writeGroups(call, run, fields);
    else if (fields.length === 0)
      await writeTotals(call, run, new Columns(columns, run.source, nulls));
    else await writeAggregates(call, run, fields, new Columns(columns, run.source, nulls));
  });
};

async function writeGroups(call: Call, run: RecordRun, fields: readonly string[]): Promise<void> {
  await using writer = await RecordWriter.open(call, run.source);
  await using groups = groupBy(run.source, { by: keyBy(fields), ...run.options });
  for await (const one of groups) await writer.addAll(one);
  await writer.complete();
}

async function writeAggregates(
  call: Call,
  run: RecordRun,
  fields: readonly string[],
  columns: Columns,
): Promise<void> {
  async function* rows(): AsyncGenerator<unknown[]> {
    for await (const row of run.source.rows(fields)) yield [row.key, ...columns.valuesOf(row)];
  }
  const names = resultNames(fields, columns.names);
  await using writer = await RecordWriter.open(call, resultShape(run.source, fields, names));
  const results = columns.areNumbers
    ? numberResults(call, run, fields, columns)
    : aggregate(rows(), { by: (row) => row[0], select: columns.select, ...run.options }).batches();
  // Names that are made for each row have to be looked up.
  const ids = columns.names.map((_, i) => `c${i}`);
  for await (const batch of results) {
    const rows = batch.map(([key, found]) => {
      const row = [...partsOf(key, fields)];
      for (let i = 0; i < ids.length; i++) row.push(columns.shown(found[ids[i] as string], i, key));
      return row;
    });
    await writer.addRows(names, rows);
  }
  await writer.complete();
}

/** Results by the numbers that scanners find, in threads where the input can be cut. */
async function* numberResults(
  call: Call,
  run: RecordRun,
  fields: readonly string[],
  columns: Columns,
): AsyncGenerator<readonly (readonly [key: unknown, results: Record<string, unknown>])[]> {
  const records = (isShared: boolean) =>
    run.source.objects((values) => columns.check(values), isShared && columns.mayShare);
  const options = {
    by: keyBy(fields) as By<unknown>,
    select: columns.selectFields,
    ...run.options,
  };
  const shared = records(true);
  let hasResults = false;
  try {
    const threads = call.options.number("threads");
    for await (const batch of aggregate(shared, { ...options, threads }).batches()) {
      hasResults = true;
      yield batch;
    }
  } catch (error) {
    if (hasResults || !shared.areShared || !isUnfit(error)) throw error;
    // Threads found a value that a column does not take: reading once more tells where it is.
    yield* aggregate(records(false), options).batches();
  }
}

function isUnfit(error: unknown): boolean {
  return error instanceof Failure || isPartdError(error, "ERR_PARTD_VALUE");
}

/** One row for all records, also for none. */
async function writeTotals(call: Call, { source }: RecordRun, columns: Columns): Promise<void> {
  const names = resultNames([], columns.names);
  await using writer = await RecordWriter.open(call, resultShape(source, [], names));
  const totals = columns.areNumbers
    ? await columns.totalsOfFields(source)
    : await columns.totalsOfRows(source);
  await writer.addRow(names, totals);
  await writer.complete();
}
