#!/usr/bin/env node
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
  --path DIR    keep the grouped flights in DIR (default: a temporary directory)
  --json        print the figures as JSON
  --help

Examples:
  npm start
  npm start -- --flights 200000 --top 5
  npm start -- --json > airports.json
`;

const { values: options } = parseArgs({
  options: {
    flights: { type: "string" },
    batch: { type: "string", default: "20000" },
    top: { type: "string", default: "15" },
    path: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (options.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const file = await FlightFile.open(options.flights ? Number(options.flights) : undefined);
  const files = new FileStore(options.path);
  await using flights = new Json<Flight>(new Snappy(files));
  // A directory that is used again would hold the flights of the last time too.
  await flights.drop();

  const shuffled = await timed(() => shuffle(file, flights));
  const bytes = await bytesOnDisk(files.path);
  const read = await timed(() => readBack(flights));
  await compareWithDirectPass(file, read.result);

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
    .slice(0, Number(options.top))
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
async function shuffle(file: FlightFile, flights: Store<Flight[]>): Promise<void> {
  using bar = progress("grouping", file.count);
  for await (const batch of file.batches(Number(options.batch))) {
    await flights.append(byOrigin(batch));
    bar.increment(batch.length);
  }
}

/** Each airport's flights come back in one piece; only one airport is in memory at a time. */
async function readBack(flights: Store<Flight[]>): Promise<Map<string, Airport>> {
  const airports = new Map<string, Airport>();
  const origins: string[] = [];
  for await (const origin of flights.keys()) origins.push(String(origin));
  using bar = progress("reading back", origins.length);
  for (const origin of origins) {
    const airport = new Airport();
    for (const flight of await flights.get(origin)) airport.add(flight);
    airports.set(origin, airport);
    bar.increment();
  }
  return airports;
}

async function compareWithDirectPass(
  file: FlightFile,
  airports: ReadonlyMap<string, Airport>,
): Promise<void> {
  const direct = new Map<string, Airport>();
  using bar = progress("checking", file.count);
  for await (const batch of file.batches(Number(options.batch))) {
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
