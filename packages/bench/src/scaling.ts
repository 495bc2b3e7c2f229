// What a shuffle through S3 or Redis costs, by calculation: `npm run scaling -- --help` in this package.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { SavedRun } from "./run/comparison.js";

const HELP = `Calculates what a shuffle through S3 costs, and one through Redis, as Markdown.

Options, with their defaults:
  --tb 10            data, in 10^12 bytes
  --workers 100      each of which writes a part of the data, and then reads a part of the keys
  --keys 100         keys in each segment
  --hours 12         for which the objects lie there
  --mb-s 500         what a worker's network carries, in 10^6 bytes a second
  --get-ms 30        until a GET answers
  --redis-tb 1       data in Redis, in 10^12 bytes
  --redis-gib 64     memory of a server of the cluster, three quarters of which holds data
  --measured FILE    what \`npm run bench -- s3 redis --json FILE\` wrote; by default scaling.json of
                     this package
`;

const { values } = parseArgs({
  options: {
    tb: { type: "string", default: "10" },
    workers: { type: "string", default: "100" },
    keys: { type: "string", default: "100" },
    hours: { type: "string", default: "12" },
    "mb-s": { type: "string", default: "500" },
    "get-ms": { type: "string", default: "30" },
    "redis-tb": { type: "string", default: "1" },
    "redis-gib": { type: "string", default: "64" },
    measured: {
      type: "string",
      default: fileURLToPath(new URL("../scaling.json", import.meta.url)),
    },
    help: { type: "boolean" },
  },
});

/**
 * Dollars, as Amazon asks in us-east-1: for a request, for 10^9 bytes a month, and for a GiB of memory
 * an hour (an r7g.2xlarge has 64 GiB and costs 0.4284).
 */
const PRICE = { put: 5e-6, list: 5e-6, get: 0.4e-6, storage: 0.023, memory: 0.4284 / 64 };
const run = JSON.parse(readFileSync(values.measured, "utf8")) as SavedRun;
/** CPU milliseconds of a worker for a MiB. */
const MEASURED = { writeMiB: worker("s3", "written"), readMiB: worker("s3", "read") };
/** Bytes of a piece in an index: its segment, offset, length and checksum. */
const ENTRY = 12;
/** Bytes of descriptions, 20 for each key of each segment, of which a writer makes an index. */
const INDEXED = { bytes: 16 * 2 ** 20, entry: 20 };
/** Bytes that a reader takes of each index besides its share: the end, and halves of two blocks. */
const INDEX_END = 16_384 + 8192;
const HEAD = [
  "`segmentBytes`",
  "objects",
  "PUTs",
  "GETs",
  "bytes a GET",
  "requests",
  "storage",
  "a TB",
  "index in each reader",
  "writing",
  "reading",
  "CPU of a worker",
];
/**
 * Bytes of memory a byte, and CPU milliseconds of a MiB, of the server, which has one thread for all
 * commands, and of a worker.
 */
const REDIS = [
  { chunk: "100 B", ...redisFigures("300 batches", "300 x 100 B read") },
  { chunk: "1 MiB", ...redisFigures("256 appends", "64 keys of") },
];
const REDIS_HEAD = [
  "appends of",
  "memory",
  "servers",
  "an hour",
  "script calls",
  "writing",
  "reading",
  "CPU of a worker",
];
/** Bytes of appends that one script call carries, and of a value that one reads, at most. */
const SCRIPT_CALL = { write: 2 * 2 ** 20, read: 2 ** 20 };
/** How many requests of a worker read at once, by default. */
const READ_CONCURRENCY = 16;

if (values.help) {
  console.log(HELP);
} else {
  console.log(
    `CPU milliseconds of a MiB, on ${run.machine}: S3 ${inMs(MEASURED.writeMiB)} to write, ${inMs(MEASURED.readMiB)} to read;`,
  );
  for (const { chunk, server, worker } of REDIS) {
    console.log(
      `Redis, values of ${chunk}: ${inMs(server.write)} and ${inMs(server.read)} of the server, ${inMs(worker.write)} and ${inMs(worker.read)} of the worker.`,
    );
  }
  console.log();
  const input = {
    bytes: Number(values.tb) * 1e12,
    workers: Number(values.workers),
    keys: Number(values.keys),
    hours: Number(values.hours),
    bandwidth: Number(values["mb-s"]) * 1e6,
    getMs: Number(values["get-ms"]),
  };
  const segments = [64, 128, 256, 512].map((mib) => [`${mib} MiB`, ...costs(input, mib * 2 ** 20)]);
  printTable(HEAD, segments);
  console.log();
  const gib = Number(values["redis-gib"]);
  const chunks = REDIS.map((chunk) =>
    redisCosts({ ...input, bytes: Number(values["redis-tb"]) * 1e12 }, gib, chunk),
  );
  printTable(REDIS_HEAD, chunks);
}

function redisFigures(write: string, read: string) {
  return {
    memory: Number(figure("redis", write, "memory a byte")),
    server: { write: server(write), read: server(read) },
    worker: { write: worker("redis", write), read: worker("redis", read) },
  };
}

function worker(suite: string, title: string): number {
  const { mib, ours } = measured(suite, title);
  return (1000 * ours.cpuSeconds) / mib;
}

function server(title: string): number {
  return Number.parseFloat(figure("redis", title, "server's CPU")) / measured("redis", title).mib;
}

function figure(suite: string, title: string, name: string): string {
  return measured(suite, title).ours.figures[name] as string;
}

/** What our side of a work took, and how much it wrote or read. */
function measured(suite: string, title: string) {
  const found = run.works.find((one) => one.suite === suite && one.work.includes(title));
  const ours = found?.results[0];
  if (!ours) throw new Error(`${values.measured} has no work of ${suite} with "${title}"`);
  const bytes = { MiB: 2 ** 20, MB: 1e6, "key-writes": 100 }[found.unit] as number;
  return { ours, mib: (found.count * bytes) / 2 ** 20 };
}

function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  for (const row of [head, head.map(() => "---"), ...rows]) console.log(`| ${row.join(" | ")} |`);
}

interface Input {
  readonly bytes: number;
  readonly workers: number;
  readonly keys: number;
  readonly hours: number;
  /** Bytes a second. */
  readonly bandwidth: number;
  readonly getMs: number;
}

function costs(input: Input, segmentBytes: number): string[] {
  const { bytes, workers, keys, hours, bandwidth, getMs } = input;
  const segments = Math.ceil(bytes / segmentBytes);
  // Each writer leaves one, or several of many keys.
  const indexes = workers * Math.ceil((segments * keys * INDEXED.entry) / workers / INDEXED.bytes);
  const puts = segments + indexes;
  const gets = segments * workers + 2 * indexes * workers; // An index: its end, and the reader's blocks.
  const lists = workers * Math.ceil(segments / 1000) * 2;
  const requests = puts * PRICE.put + gets * PRICE.get + lists * PRICE.list;
  const storage = (bytes / 1e9) * PRICE.storage * (hours / 730);
  const share = bytes / workers;
  const index = (segments * keys * ENTRY) / workers + indexes * INDEX_END;
  const writing = share / bandwidth;
  const reading = Math.max(
    (share + index) / bandwidth,
    ((gets / workers) * getMs) / 1000 / READ_CONCURRENCY,
  );
  const cpu = ((share / 2 ** 20) * (MEASURED.writeMiB + MEASURED.readMiB)) / 1000;
  return [
    amount(segments),
    amount(puts),
    amount(gets),
    `${Math.round(segmentBytes / workers / 1024)} KiB`,
    dollars(requests),
    dollars(storage),
    dollars((requests + storage) / (bytes / 1e12)),
    `${amount(index / 2 ** 20)} MiB`,
    minutes(writing),
    minutes(reading),
    minutes(cpu),
  ];
}

function redisCosts(
  { bytes, workers, bandwidth }: Input,
  gib: number,
  { chunk, memory, server, worker }: (typeof REDIS)[number],
): string[] {
  const used = bytes * memory;
  const servers = Math.ceil(used / (0.75 * gib * 2 ** 30));
  const share = bytes / workers;
  const minutesFor = (serverMs: number) =>
    minutes(Math.max(share / bandwidth, ((bytes / servers / 2 ** 20) * serverMs) / 1000));
  return [
    chunk,
    `${(used / 1e12).toFixed(2)} TB`,
    amount(servers),
    dollars(servers * gib * PRICE.memory),
    amount(bytes / SCRIPT_CALL.write + bytes / SCRIPT_CALL.read),
    minutesFor(server.write),
    minutesFor(server.read),
    minutes(((share / 2 ** 20) * (worker.write + worker.read)) / 1000),
  ];
}

function inMs(milliseconds: number): string {
  return milliseconds.toFixed(1);
}

function amount(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

function dollars(sum: number): string {
  return `$${sum.toFixed(2)}`;
}

function minutes(seconds: number): string {
  return `${(seconds / 60).toFixed(1)} min`;
}
