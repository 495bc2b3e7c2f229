// One attempt at a task: node task-process.mjs STORE TASK COUNT

import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Client } from "@partd/server";
import { Shuffle } from "@partd/shuffle";

const [where, task, count] = process.argv.slice(2);
const [kind, path] = where.split("=");
const store =
  kind === "file" ? new FileStore(path) : kind === "log" ? new LogStore(path) : new Client(path);
const shuffle = new Shuffle(store, { by: "key", partitions: 4 });
const writer = shuffle.writer({ task, attempt: process.pid });

function* records(from, to) {
  for (let i = from; i < to; i++)
    yield { key: (i * 7919) % 97, task: Number(task), i, pad: "x".repeat(50) };
}
// In ten parts, so that a kill falls between writes as well as within them.
for (let part = 0; part < 10; part++) {
  await writer.write(records((part * count) / 10, ((part + 1) * count) / 10));
  process.stdout.write(".");
}
const counts = await writer.commit();
process.stdout.write(counts ? "committed" : "second");
await store.close();
