// A process that does tasks until its parent has no more of them. It may be killed at any moment.
import { once } from "node:events";
import { openPart, type RecordsPart } from "@partd/records";
import { type Flight, Summary, shuffleOf } from "./flights.js";
import { openStore } from "./store.js";

/** What a worker is asked to do. */
export type Task =
  /** Write parts of the file; their number is the same at every attempt. */
  | { readonly kind: "write"; readonly index: number; readonly parts: readonly RecordsPart[] }
  /** Read the groups of a partition. */
  | { readonly kind: "read"; readonly partition: number };

/** What a worker says. */
export type Message =
  /** A part is written, and not committed. */
  | { readonly kind: "written" }
  | { readonly kind: "done"; readonly groups: readonly (readonly [string, Summary])[] };

const [address = "", name = ""] = process.argv.slice(2);
const shuffle = shuffleOf(openStore(address, name));

process.once("disconnect", () => process.exit()); // The parent has no more tasks, or is gone.
for (;;) {
  const [task, attempt] = ((await once(process, "message")) as [[Task, number]])[0];
  const groups = task.kind === "write" ? await write(task, attempt) : await read(task);
  say({ kind: "done", groups });
}

async function write({ index, parts }: Task & { kind: "write" }, attempt: number) {
  const writer = shuffle.writer({ task: index, attempt });
  for (const part of parts) {
    await writer.write(openPart<Flight>(part));
    say({ kind: "written" });
  }
  await writer.commit(); // Until now, no reader sees any of it.
  return [];
}

async function read({ partition }: Task & { kind: "read" }) {
  const groups: [string, Summary][] = [];
  for await (const group of shuffle.groups(partition)) {
    const summary = new Summary();
    for await (const flight of group) summary.add(flight);
    groups.push([group.key, summary]);
  }
  return groups;
}

function say(message: Message): void {
  process.send?.(message);
}
