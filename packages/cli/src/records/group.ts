import { aggregate, groupBy } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { Columns, columnsOf } from "./aggregate-columns.js";
import { RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";

/** `partd group`. */
export const group: Action = async (call) => {
  const columns = columnsOf(call.options);
  const fields = call.options.list("by");
  const asked = [...fields, ...columns.flatMap(({ field }) => field ?? [])];
  await using run = await RecordRun.open(call, call.arguments, asked);
  await using writer = await RecordWriter.open(call, run.reader);
  if (columns.length === 0) await writeGroups(run, writer, fields);
  else await writeAggregates(run, writer, fields, new Columns(columns, run.reader));
  return await run.finish();
};

async function writeGroups(
  run: RecordRun,
  writer: RecordWriter,
  fields: readonly string[],
): Promise<void> {
  await using groups = groupBy(run.texts(fields), { by: run.keyOf(fields), ...run.options });
  for await (const one of groups) {
    for await (const batch of one.batches()) for (const text of batch) await writer.text(text);
  }
  await writer.complete();
}

async function writeAggregates(
  run: RecordRun,
  writer: RecordWriter,
  fields: readonly string[],
  columns: Columns,
): Promise<void> {
  const keyOf = run.keyOf(fields);
  // What is asked for of a record, taken out once.
  async function* rows() {
    for await (const text of run.texts(fields)) yield [keyOf(text), ...columns.valuesOf(text)];
  }
  const names = [...fields, ...columns.names];
  const by = (row: unknown[]) => row[0];
  await using results = aggregate(rows(), { by, select: columns.select, ...run.options });
  for await (const [key, found] of results) {
    const parts = fields.length === 1 ? [key] : (key as unknown[]);
    await writer.row(names, [
      ...parts,
      ...columns.names.map((_, i) => columns.shown(found[`c${i}`], i)),
    ]);
  }
  await writer.complete(names);
}
