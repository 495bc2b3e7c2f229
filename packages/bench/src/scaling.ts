// What a shuffle through S3 costs, by calculation: `npm run scaling -- --help` in this package.
import { parseArgs } from "node:util";

const HELP = `Calculates what a shuffle through S3 costs, as Markdown.

Options, with their defaults:
  --tb 10            data, in 10^12 bytes
  --workers 100      each of which writes a part of the data, and then reads a part of the keys
  --keys 100         keys in each segment
  --hours 12         for which the objects lie there
  --mb-s 500         what a worker's network carries, in 10^6 bytes a second
  --get-ms 30        until a GET answers
`;

const { values } = parseArgs({
  options: {
    tb: { type: "string", default: "10" },
    workers: { type: "string", default: "100" },
    keys: { type: "string", default: "100" },
    hours: { type: "string", default: "12" },
    "mb-s": { type: "string", default: "500" },
    "get-ms": { type: "string", default: "30" },
    help: { type: "boolean" },
  },
});

/** Dollars, as Amazon asks in us-east-1: for a request, and for 10^9 bytes a month. */
const PRICE = { put: 5e-6, list: 5e-6, get: 0.4e-6, storage: 0.023 };
/** Measured by `npm run bench -- s3`: CPU milliseconds of a worker. */
const MEASURED = { writeMiB: 2.0, readMiB: 3.7 };
/** Bytes of a piece in an index: its segment, offset, length and checksum. */
const ENTRY = 12;
/** Bytes of descriptions, 20 for each key of each segment, of which a writer makes an index. */
const INDEXED = { bytes: 16 * 2 ** 20, entry: 20 };
/** Bytes that a reader takes of each index besides its share: the end, and halves of two blocks. */
const INDEX_END = 16_384 + 8192;
/** How many requests of a worker read at once, by default. */
const READ_CONCURRENCY = 16;

if (values.help) {
  console.log(HELP);
} else {
  const input = {
    bytes: Number(values.tb) * 1e12,
    workers: Number(values.workers),
    keys: Number(values.keys),
    hours: Number(values.hours),
    bandwidth: Number(values["mb-s"]) * 1e6,
    getMs: Number(values["get-ms"]),
  };
  const rows = [64, 128, 256, 512].map((mib) => [`${mib} MiB`, ...costs(input, mib * 2 ** 20)]);
  console.log(
    `| ${head().join(" | ")} |\n| ${head()
      .map(() => "---")
      .join(" | ")} |`,
  );
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
}

function head(): string[] {
  return [
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

function amount(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

function dollars(sum: number): string {
  return `$${sum.toFixed(2)}`;
}

function minutes(seconds: number): string {
  return `${(seconds / 60).toFixed(1)} min`;
}
