#!/usr/bin/env node
import { existsSync, readdirSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Json } from "@partd/codec-json";
import { Snappy } from "@partd/compress-snappy";
import type { Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { SingleBar } from "cli-progress";
import { Airport } from "./airport.js";
import { type Flight, FlightFile } from "./flights.js";

const HELP = `Groups US flights by the airport they leave from, on disk and in bounded memory, then
prints the busiest airports.

Usage: npm start -- [options]

Options:
  --flights N   only the first N of the 3,000,000 flights
  --batch N     flights an append (default 20000)
  --top N       airports in the table (default 15)
  --path DIR    keep the grouped flights in DIR, which must be new or empty (default: a temporary
                directory)
  --json        print the figures as JSON
  --help

Examples:
  npm start
  npm start -- --flights 200000 --top 5
  npm start -- --json > airports.json
`;

/** Ctrl-C gives the work up: every call takes this signal, and the store is closed on the way out. */
const { signal } = stoppable();

try {
  const options = parseOptions();
  if (options) await main(options);
  else console.log(HELP);
} catch (error) {
  console.error(`flights: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = signal.aborted ? 130 : 1;
}

async function main(options: Options): Promise<void> {
  const file = await FlightFile.open(options.flights);
  const files = new FileStore(options.path);
  await using flights = new Json<Flight>(new Snappy(files));

  const shuffled = await timed(() => shuffle(file, flights, options.batch));
  const bytes = await bytesOnDisk(files.path);
  const read = await timed(() => readBack(flights));
  await compareWithDirectPass(file, read.result, options.batch);

  const figures = {
    flights: file.count,
    airports: read.result.size,
    shuffleSeconds: shuffled.seconds,
    readSeconds: read.seconds,
    bytesOnDisk: bytes,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
  };
  const busiest = [...read.result]
    .sort(([, a], [, b]) => b.count - a.count)
    .slice(0, options.top)
    .map(([origin, airport]) => ({
      origin,
      flights: airport.count,
      meanDelay: airport.meanDelay,
      shareLate: airport.shareLate,
    }));

  if (options.json) {
    console.log(JSON.stringify({ ...figures, busiest }, null, 2));
    return;
  }
  console.log("origin    flights  mean delay  15 min late");
  for (const { origin, flights, meanDelay, shareLate } of busiest) {
    console.log(
      `${origin.padEnd(6)} ${grouped(flights).padStart(10)} ${`${meanDelay.toFixed(1)} min`.padStart(11)} ${`${(shareLate * 100).toFixed(1)} %`.padStart(12)}`,
    );
  }
  console.log(`
grouped    ${grouped(figures.flights)} flights by ${figures.airports} airports in ${shuffled.seconds.toFixed(1)} s (${grouped(figures.flights / shuffled.seconds)} flights/s)
read back  in ${read.seconds.toFixed(1)} s (${grouped(figures.flights / read.seconds)} flights/s)
on disk    ${mib(bytes)} in ${files.path}${options.path ? "" : " (removed now)"}
memory     ${mib(figures.peakResidentBytes)} resident at the peak
checked    the totals are those of a direct pass over the file`);
}

/** The whole shuffle: each batch is appended under its flights' origins. */
async function shuffle(
  file: FlightFile,
  flights: Store<Flight[]>,
  batchSize: number,
): Promise<void> {
  using bar = progress("grouping", file.count);
  for await (const batch of file.batches(batchSize)) {
    await flights.append(byOrigin(batch), { signal });
    bar.increment(batch.length);
  }
}

/** Each airport's flights come back in one piece; only one airport is in memory at a time. */
async function readBack(flights: Store<Flight[]>): Promise<Map<string, Airport>> {
  const airports = new Map<string, Airport>();
  const origins: string[] = [];
  for await (const origin of flights.keys({ signal })) origins.push(String(origin));
  using bar = progress("reading back", origins.length);
  for (const origin of origins) {
    const airport = new Airport();
    for (const flight of await flights.get(origin, { signal })) airport.add(flight);
    airports.set(origin, airport);
    bar.increment();
  }
  return airports;
}

async function compareWithDirectPass(
  file: FlightFile,
  airports: ReadonlyMap<string, Airport>,
  batchSize: number,
): Promise<void> {
  const direct = new Map<string, Airport>();
  using bar = progress("checking", file.count);
  for await (const batch of file.batches(batchSize)) {
    signal.throwIfAborted();
    for (const [origin, flights] of byOrigin(batch)) {
      const airport = direct.get(origin) ?? new Airport();
      direct.set(origin, airport);
      for (const flight of flights) airport.add(flight);
    }
    bar.increment(batch.length);
  }
  const wrong = [...direct].filter(([origin, airport]) => !airport.equals(airports.get(origin)));
  if (wrong.length > 0 || direct.size !== airports.size) {
    throw new Error(
      `The store's totals differ from the file's for ${wrong.map(([origin]) => origin).join(", ") || "the set of airports"}.`,
    );
  }
}

function byOrigin(batch: readonly Flight[]): Map<string, Flight[]> {
  const groups = new Map<string, Flight[]>();
  for (const flight of batch) {
    const group = groups.get(flight.origin);
    if (group) group.push(flight);
    else groups.set(flight.origin, [flight]);
  }
  return groups;
}

interface Options {
  readonly flights: number;
  readonly batch: number;
  readonly top: number;
  readonly path: string | undefined;
  readonly json: boolean;
}

/** Nothing if the user asks for help. */
function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      flights: { type: "string", default: "3000000" },
      batch: { type: "string", default: "20000" },
      top: { type: "string", default: "15" },
      path: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { path, json } = values;
  // What is there already would be counted too, and may be anything but flights.
  if (path !== undefined && existsSync(path) && readdirSync(path).length > 0) {
    throw new Error(`--path takes a new or an empty directory, and ${path} holds something.`);
  }
  const [flights, batch, top] = (["flights", "batch", "top"] as const).map((name) => {
    const count = Number(values[name]);
    if (Number.isSafeInteger(count) && count > 0) return count;
    throw new Error(`--${name} takes a whole number from 1 on, not ${values[name]}.`);
  }) as [number, number, number];
  return { flights, batch, top, path, json };
}

function stoppable(): AbortController {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => controller.abort(new Error("stopped; nothing is left behind")));
  }
  return controller;
}

/** A bar on the standard error, where that is a terminal. */
function progress(what: string, total: number): SingleBar & Disposable {
  const bar = new SingleBar({
    format: `${what.padEnd(12)} {bar} {percentage}% | {value}/{total} | {eta_formatted} left`,
    clearOnComplete: true,
    etaBuffer: 50,
  });
  bar.start(total, 0);
  return Object.assign(bar, { [Symbol.dispose]: () => bar.stop() });
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; seconds: number }> {
  const start = performance.now();
  const result = await work();
  return { result, seconds: (performance.now() - start) / 1000 };
}

async function bytesOnDisk(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => stat(join(entry.parentPath, entry.name))),
  );
  return sizes.reduce((total, { size }) => total + size, 0);
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
