// Shuffles the flights by four processes, over S3 and then over Redis. One of them is killed on the way.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitFile, writeNdjson } from "@partd/records";
import { readFlights, Summary, shuffleOf } from "./flights.js";
import { Pool } from "./pool.js";
import { type RunningServer, startRedis, startS3 } from "./servers.js";
import { openStore } from "./store.js";

const { values } = parseArgs({
  options: {
    s3: { type: "string" },
    redis: { type: "string" },
    only: { type: "string" },
    flights: { type: "string", default: "3000000" },
    tasks: { type: "string", default: "6" },
    workers: { type: "string", default: "4" },
  },
});

const stop = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) {
  process.once(name, () => stop.abort(new Error("stopped")));
}

const folder = await mkdtemp(join(tmpdir(), "partd-cluster-"));
try {
  await main();
} catch (error) {
  if (!stop.signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function main(): Promise<void> {
  const file = join(folder, "flights.ndjson");
  const expected = new Map<string, Summary>();
  await writeNdjson(counted(expected), file);

  const rows: Row[] = [];
  const stores = [
    {
      name: "S3",
      given: values.s3,
      start: startS3,
      install: "radosgw ceph-mon ceph-osd ceph-common",
    },
    {
      name: "Redis",
      given: values.redis,
      start: () => startRedis(folder),
      install: "redis-server",
    },
  ];
  for (const { name, given, start, install } of stores) {
    const option = name.toLowerCase();
    if (values.only !== undefined && values.only !== option) continue;
    const server: RunningServer | undefined = given ? { address: given, stop() {} } : await start();
    if (!server) {
      console.log(`${name}: give its address by --${option}, or apt-get install ${install}`);
      continue;
    }
    try {
      rows.push({ store: name, ...(await shuffleFile(file, server.address, expected)) });
    } finally {
      server.stop();
    }
  }
  printTable(rows);
  if (rows.length === 0 || rows.some(({ exact }) => exact !== expected.size)) process.exitCode = 1;
}

/** The flights, with what is known of each group. */
async function* counted(groups: Map<string, Summary>) {
  for await (const flight of readFlights(Number(values.flights))) {
    const group = groups.get(flight.origin) ?? new Summary();
    group.add(flight);
    groups.set(flight.origin, group);
    yield flight;
    stop.signal.throwIfAborted();
  }
}

async function shuffleFile(
  file: string,
  address: string,
  expected: ReadonlyMap<string, Summary>,
): Promise<Omit<Row, "store">> {
  const name = `flights-${randomUUID()}`;
  await using store = openStore(address, name);
  const shuffle = shuffleOf(store);
  const workers = Number(values.workers);
  const pool = new Pool({ workers, args: [address, name], signal: stop.signal });

  const begun = performance.now();
  const tasks = Number(values.tasks);
  const parts = (await splitFile(file, 2 * tasks)) ?? [];
  await pool.run(
    Array.from({ length: tasks }, (_, index) => {
      return { kind: "write", index, parts: parts.slice(2 * index, 2 * index + 2) } as const;
    }),
  );
  const attempts = pool.attempts;
  await shuffle.seal();
  const keys = await store.count();
  await shuffle.sweep(); // What the killed worker has left.
  const swept = keys - (await store.count());

  const written = performance.now();
  const partitions = Array.from({ length: shuffle.partitions }, (_, partition) => partition);
  const found = await pool.run(
    partitions.map((partition) => ({ kind: "read", partition }) as const),
  );
  const read = performance.now();

  const exact = found.filter(([origin, group]) => isSame(group, expected.get(origin))).length;
  await store.drop();
  return {
    tasks,
    attempts,
    killed: pool.killed,
    swept,
    writing: (written - begun) / 1000,
    reading: (read - written) / 1000,
    groups: found.length,
    exact,
  };
}

function isSame(group: Summary, other: Summary | undefined): boolean {
  const { flights, delay, digest } = group;
  return flights === other?.flights && delay === other.delay && digest === other.digest;
}

/** What the table says of a run. */
interface Row {
  readonly store: string;
  readonly tasks: number;
  readonly attempts: number;
  readonly killed: number;
  /** Values of the killed worker that were removed. */
  readonly swept: number;
  /** In seconds. */
  readonly writing: number;
  readonly reading: number;
  readonly groups: number;
  readonly exact: number;
}

function printTable(rows: readonly Row[]): void {
  console.log("store  tasks  attempts  killed  values swept  writing  reading  groups  exact");
  for (const { store, tasks, attempts, killed, swept, writing, reading, groups, exact } of rows) {
    const figures = [
      String(tasks).padStart(5),
      String(attempts).padStart(8),
      String(killed).padStart(6),
      String(swept).padStart(12),
      `${writing.toFixed(1)} s`.padStart(7),
      `${reading.toFixed(1)} s`.padStart(7),
      String(groups).padStart(6),
      String(exact).padStart(5),
    ];
    console.log([store.padEnd(5), ...figures].join("  "));
  }
}
