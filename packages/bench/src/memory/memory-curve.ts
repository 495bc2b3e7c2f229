import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { peakMemory } from "tooling/peak-memory";
import { bytesOf, keysOf } from "../suites/workload.js";
import { drawCurve, type Sample } from "./curve.js";

const USAGE = `usage: node dist/memory/memory-curve.js [--slow log|file] [--svg FILE]

Appends 2 GB in records of 100 B to 10,000 keys of a BufferStore that may take 200 MB, and
reports by how much the process's resident memory grew and how late its event loop ran.
--svg draws the memory over time.`;

const { values: options } = parseArgs({
  options: {
    slow: { type: "string", default: "log" },
    svg: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log(USAGE);
  process.exit();
}

const BOUND = 200e6;
const ALLOWED = 1.25 * BOUND + 64 * 2 ** 20;
const TOTAL = 2e9;
const BATCH = 1_000;

const keys = keysOf(10_000);
const value = bytesOf(100);
await using slow = options.slow === "file" ? new FileStore() : new LogStore();
const store = new BufferStore(new Dict(), slow, { availableMemory: BOUND });

globalThis.gc?.();
const before = process.memoryUsage.rss();
const start = performance.now();
const samples: Sample[] = [];
const sampling = setInterval(() => {
  samples.push({
    seconds: (performance.now() - start) / 1e3,
    resident: process.memoryUsage.rss() - before,
    held: store.stats().memoryHeld,
  });
}, 20);
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

let next = 0;
for (let written = 0; written < TOTAL; written += BATCH * value.byteLength) {
  const batch = new Map<string, Uint8Array>();
  for (let i = 0; i < BATCH; i++) batch.set(keys[next++ % keys.length] as string, value);
  await store.append(batch);
}
const appended = (performance.now() - start) / 1e3;
await store.flush();
const flushed = (performance.now() - start) / 1e3;

delay.disable();
clearInterval(sampling);
const peak = peakMemory() - before;
const { spills, waits, waitMilliseconds } = store.stats();
await store.drop();
await store.close();

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
console.log(`appended      ${appended.toFixed(1)} s, flushed after ${flushed.toFixed(1)} s`);
console.log(`resident      +${megabytes(peak)} at its peak; allowed +${megabytes(ALLOWED)}`);
console.log(`event loop    ${(delay.percentile(99) / 1e6).toFixed(1)} ms at p99; allowed 50 ms`);
console.log(
  `batches       ${spills}; ${waits} appends waited, ${(waitMilliseconds / 1e3).toFixed(1)} s in all`,
);
if (options.svg !== undefined) {
  writeFileSync(options.svg, drawCurve(samples, { bound: BOUND, allowed: ALLOWED }));
}
process.exitCode = peak <= ALLOWED && delay.percentile(99) < 50e6 ? 0 : 1;
