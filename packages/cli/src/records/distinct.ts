import { distinct as distinctOf } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { keyBy, RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";

/** `partd distinct`. */
export const distinct: Action = async (call) => {
  const fields = call.options.list("by");
  await using run = await RecordRun.open(call, call.arguments, { asked: fields, required: fields });
  await using writer = await RecordWriter.open(call, run.source);
  const by = fields.length > 0 ? keyBy(fields) : undefined;
  await using output = distinctOf(run.source, { by, ...run.options });
  await writer.all(output);
  await writer.complete();
  return await run.finish();
};
