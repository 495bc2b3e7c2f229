// A server over a store that spills to files, three worker processes that append to it, and what
// they shuffled together, read back group by group. `node dist/main.js serve` only serves.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
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

const stop = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());

const directory = await mkdtemp(join(tmpdir(), "partd-seed-"));
try {
  await serve(process.argv[2] === "serve" ? untilStopped : shuffle);
  console.log("flushed and closed");
} catch (error) {
  if (!stop.signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  await rm(directory, { recursive: true, force: true });
}

/** Whatever ends `work`, what was acknowledged until then is flushed to the files. */
async function serve(work: (address: string) => Promise<unknown>): Promise<void> {
  const store = new BufferStore(new Dict(), new FileStore(join(directory, "store")), {
    availableMemory: 1e6,
  });
  await using server = await Server.listen(store, {
    address: `ipc://${join(directory, "socket")}`,
    dashboard: true,
  });
  console.log(`serving ${server.address}`);
  await work(server.address);
}

async function untilStopped(): Promise<void> {
  if (!stop.signal.aborted) await once(stop.signal, "abort");
}

async function shuffle(address: string): Promise<void> {
  const { signal } = stop;
  const worker = fileURLToPath(new URL("worker.js", import.meta.url));
  const exits = Array.from({ length: WORKERS }, (_, i) =>
    once(fork(worker, [address, String(i), String(RECORDS)], { signal }), "exit"),
  );
  const codes = (await Promise.all(exits)).map(([code]) => code);
  if (codes.some((code) => code !== 0)) throw new Error(`Workers ended with ${codes}.`);

  await using numbers = new Json<number>(new Snappy(new Client(address)));
  const groups: [string, number][] = [];
  for await (const key of numbers.keys({ signal })) {
    groups.push([String(key), (await numbers.get(key, { signal })).length]);
  }
  groups.sort();
  for (const [key, count] of groups) console.log(`${key}: ${count} numbers`);
  const total = groups.reduce((sum, [, count]) => sum + count, 0);
  console.log(`${total} numbers of ${WORKERS} workers in ${groups.length} groups`);
}
