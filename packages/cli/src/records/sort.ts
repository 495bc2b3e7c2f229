import { type SortRule, sort as sortOf } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";
import { parseSortKey } from "./sort-key.js";

/** `partd sort`. */
export const sort: Action = async (call) => {
  const keys = call.options.list("by").map(parseSortKey);
  const fields = keys.map(({ field }) => field);
  await using run = await RecordRun.open(call, call.arguments, fields);
  await using writer = await RecordWriter.open(call, run.reader);
  const { options, reader } = run;
  await run.requireSpace(call.options.text("out") ?? ".", call.options.has("out") ? 1 : 0);
  const rules = keys.map(({ field, order, as }): SortRule<string> => {
    return { by: (text) => reader.key(text, field), order, as };
  });
  await using output = sortOf(run.texts([]), { by: rules, ...options });
  for await (const batch of output.batches()) for (const text of batch) await writer.text(text);
  await writer.complete();
  return await run.finish();
};
