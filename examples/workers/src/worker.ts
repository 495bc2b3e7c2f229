// A process that does tasks until its parent has no more of them. It may be killed at any moment.
import { once } from "node:events";
import { openPart, type RecordsPart } from "@partd/records";
import { type Event, openStore, shuffleOf } from "./events.js";

/** What a worker is asked to do. */
export type Task =
  /** Write a part of the input, by its number: the same at every attempt, and the order of its records. */
  | { readonly kind: "write"; readonly index: number; readonly part: RecordsPart }
  /** Add up the groups of a partition. */
  | { readonly kind: "read"; readonly partition: number };

/** Of each user: how many events, and their milliseconds. */
export type Totals = readonly (readonly [user: string, events: number, ms: number])[];

const [where = ""] = process.argv.slice(2);
const shuffle = shuffleOf(openStore(where));

process.once("disconnect", () => process.exit()); // The parent has no more tasks, or is gone.
for (;;) {
  const [task] = (await once(process, "message")) as [Task];
  process.send?.(task.kind === "write" ? await write(task) : await read(task));
}

async function write({ index, part }: Task & { kind: "write" }): Promise<Totals> {
  const writer = shuffle.writer({ task: index });
  await writer.write(openPart<Event>(part));
  await writer.commit(); // Until now, no reader sees any of it.
  return [];
}

async function read({ partition }: Task & { kind: "read" }): Promise<Totals> {
  const totals: [string, number, number][] = [];
  for await (const group of shuffle.groups(partition)) {
    let [events, total] = [0, 0];
    for await (const { ms } of group) {
      events++;
      total += ms;
    }
    totals.push([group.key, events, total]);
  }
  return totals;
}
