import { distinct as distinctOf } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";

/** `partd distinct`. */
export const distinct: Action = async (call) => {
  const fields = call.options.list("by");
  await using run = await RecordRun.open(call, call.arguments, fields);
  await using writer = await RecordWriter.open(call, run.reader);
  const by = fields.length > 0 ? run.keyOf(fields) : (text: string) => text;
  await using output = distinctOf(run.texts(fields), { by, ...run.options });
  for await (const batch of output.batches()) for (const text of batch) await writer.text(text);
  await writer.complete();
  return await run.finish();
};
