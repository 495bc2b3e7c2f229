import { sort as sortOf } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";
import { parseSortKey } from "./sort-key.js";

/** `partd sort`. */
export const sort: Action = async (call) => {
  const keys = call.options.list("by").map(parseSortKey);
  if (keys.length === 0) throw new UsageError("sort needs --by FIELD");
  const asked = keys.map(({ field }) => field);
  await using run = await RecordRun.open(call, call.arguments, {
    asked,
    required: [],
    areText: keys.some(({ as }) => as !== "number"),
  });
  await using writer = await RecordWriter.open(call, run.source);
  const out = call.options.text("out");
  if (out !== undefined) await run.requireSpace(out, 1);
  const by = keys.map(({ field, order, as }) => ({ by: field, order, as }));
  await using output = sortOf(run.source, { by, ...run.options });
  await writer.all(output);
  await writer.complete();
  return await run.finish();
};
