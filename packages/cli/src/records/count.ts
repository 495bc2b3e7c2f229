import { countBy, sort, top } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { keyBy, partsOf, RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";
import { resultNames } from "./result-names.js";

/** `partd count`. */
export const count: Action = async (call) => {
  const fields = call.options.list("by");
  const wanted = { asked: fields, required: fields, isAll: true };
  await using run = await RecordRun.open(call, call.arguments, wanted);
  await using writer = await RecordWriter.open(call, run.source);
  const names = resultNames(fields, ["count"]);
  if (fields.length === 0) {
    await writer.row(names, [await run.source.count()]);
  } else {
    const { options } = run;
    const entries = countBy(run.source, { by: keyBy(fields), ...options });
    const byCount = { by: ([, n]: Entry) => n, order: "desc" } as const;
    const n = call.options.number("top");
    const rest = { memory: options.memory, dir: options.dir, signal: options.signal };
    await using output =
      n === undefined
        ? sort<Entry>(entries, { by: byCount, ...rest })
        : top<Entry>(entries, { n, by: byCount, ...rest });
    for await (const [key, records] of output) {
      await writer.row(names, [...partsOf(key, fields), records]);
    }
  }
  await writer.complete(names);
  return await run.finish();
};

type Entry = readonly [unknown, number];
