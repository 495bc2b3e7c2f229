import type { KeyStats } from "./census.js";
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
    keys: shared.census.stats(),
    store: storeStats(shared.store),
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
