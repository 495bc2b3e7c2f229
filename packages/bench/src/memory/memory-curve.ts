import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { peakMemory } from "tooling/peak-memory";
import { bytesOf } from "../suites/workload.js";
import { drawChart } from "./chart.js";

const USAGE = `usage: node dist/memory/memory-curve.js [--slow log|file] [--keys N] [--bytes N] [--svg FILE] [--json FILE]

Appends 2 GB in records of 100 B to 10,000 keys of a BufferStore that may take 200 MB, and
reports by how much the process's resident memory grew and how late its event loop ran.
--svg draws the memory over time; --json writes it for memory-keys.js.`;

const { values: options } = parseArgs({
  options: {
    slow: { type: "string", default: "log" },
    keys: { type: "string", default: "10000" },
    bytes: { type: "string", default: "2e9" },
    svg: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log(USAGE);
  process.exit();
}

/** Memory at one moment, in bytes; `resident` is what was added to the process's. */
export interface Sample {
  /** Bytes that were appended. */
  readonly written: number;
  readonly seconds: number;
  readonly resident: number;
  readonly held: number;
}

const BOUND = 200e6;
const ALLOWED = 1.25 * BOUND + 64 * 2 ** 20;
const TOTAL = Number(options.bytes);
const BATCH = 1_000;
/** A prime: no multiple of it below the number of keys comes twice. */
const STRIDE = 7_919;

const keyCount = Number(options.keys);
const value = bytesOf(100);
await using slow = options.slow === "file" ? new FileStore() : new LogStore();
const store = new BufferStore(new Dict(), slow, { availableMemory: BOUND });

globalThis.gc?.();
const before = process.memoryUsage.rss();
const start = performance.now();
const samples: Sample[] = [];
let written = 0;
const sampling = setInterval(() => {
  samples.push({
    written,
    seconds: (performance.now() - start) / 1e3,
    resident: process.memoryUsage.rss() - before,
    held: store.stats().memoryHeld,
  });
}, 20);
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

let next = 0;
/** Each key in its turn, in an order that jumps about. Names are made as needed: 20 million are a gigabyte. */
function* batch(): Generator<[string, Uint8Array]> {
  for (let i = 0; i < BATCH; i++) yield [`key-${(next++ * STRIDE) % keyCount}`, value];
}
for (; written < TOTAL; written += BATCH * value.byteLength) await store.append(batch());
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
  const line = (of: (sample: Sample) => number) =>
    samples.map((sample) => [sample.seconds, of(sample)] as const);
  const chart = drawChart({
    title: `Memory while ${TOTAL / 1e9} GB are appended through a bound of ${BOUND / 1e6} MB`,
    unit: "seconds",
    bound: BOUND,
    allowed: ALLOWED,
    lines: [
      {
        label: "resident memory of the process, growth",
        colour: "#c0392b",
        points: line(({ resident }) => resident),
      },
      {
        label: "memory held by the buffer",
        colour: "#2471a3",
        points: line(({ held }) => held),
      },
    ],
  });
  writeFileSync(options.svg, chart);
}
if (options.json !== undefined)
  writeFileSync(options.json, JSON.stringify({ bound: BOUND, allowed: ALLOWED, samples }));
process.exitCode = peak <= ALLOWED && delay.percentile(99) < 50e6 ? 0 : 1;
