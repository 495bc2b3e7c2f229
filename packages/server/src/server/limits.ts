import { PartdError } from "@partd/core";
import { checkIntegerOption, nearest } from "@partd/core/author";

/** How much a server lets its clients do. Sizes are in bytes, times in milliseconds. */
export interface ServerLimits {
  /** Connections at once. Default 1,024; more are turned away with HTTP status 503. */
  readonly connections?: number | undefined;
  /**
   * Requests that all connections together may have sent without an answer: their bytes, and 64 for
   * each key. Default 512 MiB.
   */
  readonly inFlight?: number | undefined;
  /**
   * The same for one connection, at least 1,024. Default 32 MiB, and less while there are many
   * connections.
   */
  readonly inFlightPerConnection?: number | undefined;
  /**
   * Requests of one connection without an answer, by their number. Default 16,384; fewer where the
   * connection's window is small, as each is charged 8 KiB besides its bytes.
   */
  readonly pending?: number | undefined;
  /** One message, at least 1,024. Default 2 MiB; what is longer is sent in chunks. */
  readonly message?: number | undefined;
  /**
   * One request, such as an append, which a server has to hold whole. Default 256 MiB. The answers
   * to a client's pops may together hold as much.
   */
  readonly request?: number | undefined;
  /**
   * All requests together that are sent in chunks. Default 512 MiB; further ones wait for their
   * turn. The answers to all clients' pops may together hold as much.
   */
  readonly uploads?: number | undefined;
  /** Keys in one request. Default 1,048,576. */
  readonly keys?: number | undefined;
  /** Answers that wait to be sent to one connection. Default 1 MiB. */
  readonly answers?: number | undefined;
  /** Keys of one connection that go over the wire as a number. Default 16,384, or fewer. */
  readonly keyTable?: number | undefined;
  /**
   * A connection without requests for so long is closed; its client comes back when it needs to.
   * Default 10 minutes.
   */
  readonly idle?: number | undefined;
  /**
   * How long a client may take to say HELLO, to read what was sent, or to send a 256th of a long
   * request. Default 30 s.
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
   * Outcomes of mutations whose answer clients have not confirmed, by the memory that they take.
   * Default 128 MiB, a sixteenth for one client; of clients that are gone the oldest are forgotten.
   */
  readonly outcomes?: number | undefined;
  /**
   * Connections that have not said HELLO: half-open, in their TLS handshake, or plain HTTP. Of
   * more, the oldest is closed. Default 1,024: so many clients may come at once.
   */
  readonly strangers?: number | undefined;
  /**
   * How long a session outlives its connection, waiting for the client to come back. Default 10
   * minutes.
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
/** What a timer can wait, in milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1;
/** Has room for the header of a chunk, and for some of the chunk. */
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
