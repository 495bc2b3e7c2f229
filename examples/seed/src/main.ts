// A server over a store that spills to files, three worker processes that append to it, and what
// they shuffled together, read back group by group. `node dist/main.js serve` only serves.
import { fork } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BufferStore } from "@partd/buffer";
import { Json } from "@partd/codec-json";
import { Snappy } from "@partd/compress-snappy";
import { Dict } from "@partd/core";
import { FileStore } from "@partd/file";
import { Client, Server } from "@partd/server";

const WORKERS = 3;
const RECORDS = 20_000;

const directory = join(tmpdir(), `partd-seed-${process.pid}`);
const server = await Server.listen(
  new BufferStore(new Dict(), new FileStore(directory), { availableMemory: 1e6 }),
  { address: `ipc://${directory}.sock`, dashboard: true },
);
console.log(`serving ${server.address}`);

// What was acknowledged is flushed before the process ends.
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, async () => {
    await server.close();
    console.log("flushed and closed");
    await rm(directory, { recursive: true, force: true });
    process.exit(0);
  });
}

if (process.argv[2] !== "serve") {
  const worker = fileURLToPath(new URL("worker.js", import.meta.url));
  const exits = Array.from({ length: WORKERS }, (_, i) =>
    once(fork(worker, [server.address, String(i), String(RECORDS)]), "exit"),
  );
  const codes = (await Promise.all(exits)).map(([code]) => code);
  if (codes.some((code) => code !== 0)) throw new Error(`Workers ended with ${codes}.`);

  const p = new Json<number>(new Snappy(new Client(server.address)));
  const groups: [string, number][] = [];
  for await (const key of p.keys()) groups.push([String(key), (await p.get(key)).length]);
  groups.sort();
  for (const [key, count] of groups) console.log(`${key}: ${count} numbers`);
  const total = groups.reduce((sum, [, count]) => sum + count, 0);
  console.log(`${total} numbers of ${WORKERS} workers in ${groups.length} groups`);
  await p.close();
  await server.close();
  await rm(directory, { recursive: true, force: true });
}
