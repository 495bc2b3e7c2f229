import type { Census, CountedKey } from "./census.js";
import type { Connection } from "./connection.js";
import type { Counters, Shared } from "./shared.js";

/** The state of a server. Sizes are in bytes. */
export interface ServerStats {
  /** Seconds since the start. */
  readonly uptime: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Clients that are connected or may come back. */
  readonly sessions: number;
  /**
   * Mutations that clients repeated after a lost connection, and that were not carried out again.
   */
  readonly repeated: number;
  /** Unanswered requests. */
  readonly pending: number;
  /** Bytes of the unanswered requests. */
  readonly requestBytes: number;
  /** Bytes of answers that clients have not taken. */
  readonly answerBytes: number;
  /** Resident memory of the process. */
  readonly memory: number;
  /** Since the start. */
  readonly totals: Readonly<Counters>;
  /** Of appends through this server. */
  readonly keys: KeyStats;
  /** The numbers of the store's own `stats()`, or the memory of a `Dict`. */
  readonly store: Readonly<Record<string, number>>;
}

/** How the bytes that were appended through this server are spread over keys. */
export interface KeyStats {
  /** Keys that were appended to; those beyond the first million are not counted. */
  readonly count: number;
  /** Bytes that were appended to them. */
  readonly bytes: number;
  /** The largest, in descending order; at most 20. */
  readonly largest: readonly { readonly key: string; readonly bytes: number }[];
  /** `sizes[i]` is the number of keys with at least 2^i and less than 2^(i + 1) bytes. */
  readonly sizes: readonly number[];
}

const LARGEST = 20;

export function statsOf(shared: Shared, connections: ReadonlySet<Connection>): ServerStats {
  let pending = 0;
  let requestBytes = 0;
  let answerBytes = 0;
  for (const connection of connections) {
    pending += connection.pending;
    requestBytes += connection.requestBytes;
    answerBytes += connection.answerBytes;
  }
  return {
    uptime: (performance.now() - shared.started) / 1_000,
    connections: connections.size,
    sessions: shared.sessions.size,
    repeated: shared.sessions.repeated,
    pending,
    requestBytes,
    answerBytes,
    memory: process.memoryUsage.rss(),
    totals: { ...shared.counters },
    keys: recentKeyStats(shared.census),
    store: storeStats(shared.store),
  };
}

/** Scanning a million keys takes a while, so it gets at most a tenth of the time. */
function recentKeyStats(census: Census): KeyStats {
  const start = performance.now();
  const last = recent.get(census);
  if (last && start < last.until) return last.stats;
  const stats = keyStats(census.counted());
  const took = performance.now() - start;
  recent.set(census, { stats, until: took < 2 ? 0 : start + 10 * took });
  return stats;
}

const recent = new WeakMap<Census, { readonly stats: KeyStats; readonly until: number }>();

function keyStats(keys: Iterable<CountedKey>): KeyStats {
  const sizes: number[] = [];
  // In ascending order: the first is the smallest of the largest.
  const largest: CountedKey[] = [];
  let count = 0;
  let bytes = 0;
  for (const key of keys) {
    count++;
    bytes += key.bytes;
    const size = Math.floor(Math.log2(key.bytes));
    while (sizes.length <= size) sizes.push(0);
    sizes[size] = (sizes[size] as number) + 1;
    if (largest.length === LARGEST && key.bytes <= (largest[0] as CountedKey).bytes) continue;
    let place = largest.findIndex((other) => other.bytes > key.bytes);
    if (place < 0) place = largest.length;
    largest.splice(place, 0, key);
    if (largest.length > LARGEST) largest.shift();
  }
  return {
    count,
    bytes,
    largest: largest.reverse().map(({ key, bytes }) => ({ key: String(key), bytes })),
    sizes,
  };
}

/** A store may have `stats()` or numeric fields beyond what `Store` asks for. */
function storeStats(store: object): Record<string, number> {
  const told = "stats" in store && typeof store.stats === "function" ? store.stats() : store;
  const numbers: Record<string, number> = {};
  for (const name of Object.keys(told ?? {})) {
    const value = (told as Record<string, unknown>)[name];
    if (typeof value === "number") numbers[name] = value;
  }
  if ("memory" in store && typeof store.memory === "number") numbers.memoryHeld = store.memory;
  return numbers;
}
