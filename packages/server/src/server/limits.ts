import { PartdError } from "@partd/core";
import { checkIntegerOption, nearest } from "@partd/core/author";
import { LONGEST_TIMER } from "../protocol/constants.js";

/** What a server allows its clients. Sizes are in bytes, times in milliseconds. */
export interface ServerLimits {
  /** The most connections. Default 1,024; more are refused with HTTP status 503. */
  readonly connections?: number | undefined;
  /**
   * The most unanswered requests of all connections: their bytes, and 64 for each key. Default 512 MiB.
   */
  readonly inFlight?: number | undefined;
  /**
   * The same for one connection; at least 1,024. Default 32 MiB, and less while there are many
   * connections.
   */
  readonly inFlightPerConnection?: number | undefined;
  /**
   * The number of unanswered requests of one connection. Default 16,384; fewer if the connection's
   * window is small, because each is charged 8 KiB besides its bytes.
   */
  readonly pending?: number | undefined;
  /** The longest message; at least 1,024. Default 2 MiB. Longer requests are sent in chunks. */
  readonly message?: number | undefined;
  /**
   * The longest request, such as an append, which a server has to hold whole. Default 256 MiB. The
   * answers to one client's pops are limited to as much.
   */
  readonly request?: number | undefined;
  /**
   * All requests that are sent in chunks, together. Default 512 MiB; further ones wait. The answers to
   * all clients' pops are limited to as much.
   */
  readonly uploads?: number | undefined;
  /** The most keys in one request. Default 1,048,576. */
  readonly keys?: number | undefined;
  /** Answers that wait to be sent to one connection. Default 1 MiB. */
  readonly answers?: number | undefined;
  /** How many keys of one connection are sent as a number. Default 16,384, or fewer. */
  readonly keyTable?: number | undefined;
  /**
   * A connection without requests for this time is closed; its client reconnects when it needs to.
   * Default 10 minutes.
   */
  readonly idle?: number | undefined;
  /**
   * The longest time a client may take to say HELLO, to read what was sent, or to send a 256th of a
   * long request. Default 30 s.
   */
  readonly stall?: number | undefined;
  /**
   * Time between two pings. Default 10 s; a connection that is silent three times as long is
   * closed.
   */
  readonly ping?: number | undefined;
  /** How long a client may hold the lock of `withLock`. Default: as long as it is connected. */
  readonly lock?: number | undefined;
  /**
   * Memory for outcomes of mutations that clients have not confirmed. Default 128 MiB, a sixteenth of
   * it for one client. Disconnected clients' outcomes are forgotten first, the oldest first.
   */
  readonly outcomes?: number | undefined;
  /**
   * The most connections that have not said HELLO: half-open, in their TLS handshake, or plain HTTP.
   * Beyond it the oldest is closed. Default 1,024, so as many clients may connect at the same moment.
   */
  readonly strangers?: number | undefined;
  /**
   * How long a session outlives its connection, so that the client can come back. Default 10 minutes.
   */
  readonly session?: number | undefined;
}

export type Limits = { readonly [K in keyof ServerLimits]-?: number };

const MIB = 2 ** 20;

/** @throws `ERR_PARTD_VALUE` for an unknown limit, or one out of its range. */
export function withDefaults(limits: ServerLimits): Limits {
  const filled: Record<string, number> = { ...DEFAULTS };
  for (const [name, value] of Object.entries(limits)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(DEFAULTS, name)) {
      const known = Object.keys(DEFAULTS);
      const near = nearest(name, known);
      const hint = near === undefined ? `There are ${known.join(", ")}` : `Did you mean ${near}?`;
      throw new PartdError("ERR_PARTD_VALUE", `There is no limits.${name}. ${hint}`);
    }
    const most = TIMES.has(name) ? LONGEST_TIMER : Number.MAX_SAFE_INTEGER;
    const least = /^message$|PerConnection$/.test(name) ? SHORTEST_MESSAGE : 1;
    filled[name] = checkIntegerOption(`limits.${name}`, value, least, most);
  }
  return filled as unknown as Limits;
}

const TIMES = new Set(["idle", "stall", "ping", "session", "lock"]);
/** The shortest message: room for a chunk's header and some of the chunk. */
export const SHORTEST_MESSAGE = 1_024;

const DEFAULTS: Limits = {
  connections: 1_024,
  inFlight: 512 * MIB,
  inFlightPerConnection: 32 * MIB,
  pending: 16_384,
  message: 2 * MIB,
  request: 256 * MIB,
  uploads: 512 * MIB,
  keys: 1_048_576,
  answers: MIB,
  keyTable: 16_384,
  idle: 600_000,
  stall: 30_000,
  ping: 10_000,
  session: 600_000,
  lock: LONGEST_TIMER,
  outcomes: 128 * MIB,
  strangers: 1_024,
};
