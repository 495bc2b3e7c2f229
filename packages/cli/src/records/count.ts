import { countBy, sort, top } from "@partd/shuffle";
import type { Action } from "../command/command.js";
import { RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";

/** `partd count`. */
export const count: Action = async (call) => {
  const fields = call.options.list("by");
  await using run = await RecordRun.open(call, call.arguments, fields);
  await using writer = await RecordWriter.open(call, run.reader);
  if (fields.length === 0) {
    let records = 0;
    for await (const _ of run.texts([])) records++;
    await writer.row(["count"], [records]);
  } else {
    const { options } = run;
    const entries = countBy(run.texts(fields), { by: run.keyOf(fields), ...options });
    const byCount = { by: ([, n]: Entry) => n, order: "desc" } as const;
    const n = call.options.number("top");
    const rest = { memory: options.memory, dir: options.dir, signal: options.signal };
    await using output =
      n === undefined
        ? sort<Entry>(entries, { by: byCount, ...rest })
        : top<Entry>(entries, { n, by: byCount, ...rest });
    const names = [...fields, fields.includes("count") ? "count_" : "count"];
    for await (const [key, records] of output) {
      const parts = fields.length === 1 ? [key] : (key as unknown[]);
      await writer.row(names, [...parts, records]);
    }
    await writer.complete(names);
    return await run.finish();
  }
  await writer.complete();
  return await run.finish();
};

type Entry = readonly [unknown, number];
