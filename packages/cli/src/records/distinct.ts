import { distinct as distinctOf } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { keyBy, RecordRun, requireBy } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";

/** `partd distinct`. */
export const distinct: Action = (call) => {
  const fields = call.options.list("by");
  requireBy(call, fields, ["missing"]);
  const wanted = {
    asked: fields,
    required: fields,
    operation: "distinct" as const,
    isWithin: true,
  };
  return RecordRun.do(call, wanted, async (run) => {
    await using writer = await RecordWriter.open(call, run.source);
    const by = fields.length > 0 ? keyBy(fields) : undefined;
    const threads = call.options.number("threads");
    await using output = distinctOf(run.source, { by, threads, ...run.options });
    await writer.addAll(output);
    await writer.complete();
  });
};
