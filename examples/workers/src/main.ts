// Groups a file by many processes, over a store that they share. One of them is killed on the way.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitFile, writeNdjson } from "@partd/records";
import { openStore, randomEvents, shuffleOf } from "./events.js";
import { Pool } from "./pool.js";

const { values } = parseArgs({
  options: {
    store: { type: "string" },
    events: { type: "string", default: "300000" },
    tasks: { type: "string", default: "12" },
    workers: { type: "string", default: "3" },
    kills: { type: "string", default: "1" },
  },
});

const stop = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) {
  process.once(name, () => stop.abort(new Error("stopped")));
}

const folder = await mkdtemp(join(tmpdir(), "partd-workers-"));
try {
  const file = join(folder, "events.ndjson");
  await writeNdjson(randomEvents(Number(values.events)), file);
  await shuffleFile(file, values.store ?? `log:${join(folder, "store")}`);
} catch (error) {
  if (!stop.signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function shuffleFile(file: string, where: string): Promise<void> {
  await using store = openStore(where);
  const shuffle = shuffleOf(store);
  const workers = Number(values.workers);
  const pool = new Pool(where, { workers, kills: Number(values.kills), signal: stop.signal });

  // What an earlier run has committed is not done again.
  const done = new Set(await shuffle.tasks());
  const parts = (await splitFile(file, Number(values.tasks))) ?? [];
  const writing = parts.map((part, index) => ({ kind: "write", index, part }) as const);
  await pool.run(writing.filter(({ index }) => !done.has(String(index))));
  await shuffle.seal();
  await shuffle.sweep(); // What killed workers have left.

  const partitions = Array.from({ length: shuffle.partitions }, (_, partition) => partition);
  const reading = partitions.map((partition) => ({ kind: "read", partition }) as const);
  const users = (await pool.run(reading)).flat();

  users.sort(([, a], [, b]) => b - a);
  for (const [user, events, ms] of users.slice(0, 5)) {
    console.log(`${user}: ${events} events, ${(ms / events).toFixed(1)} ms each`);
  }
  const total = users.reduce((sum, [, events]) => sum + events, 0);
  console.log(`${total} events of ${users.length} users, by ${workers} workers at a time`);
  console.log(`workers killed, whose task was run again: ${pool.killed}`);
}
