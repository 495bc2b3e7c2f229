import { isPartdError, PartdError, type PartdErrorCode } from "@partd/core";
import { type Connection, ReplicasError } from "./connection/connection.js";

/** Why an attempt failed. Each kind asks for another reaction. */
export type Trouble =
  /** The server cannot be reached, is not ready, or did not answer: repeat the call. */
  | { readonly kind: "away"; readonly isSent: boolean; readonly error: Error }
  /** Another store holds the lock. */
  | { readonly kind: "locked"; readonly holder: string }
  /** The server has another number for this writer's last change. */
  | { readonly kind: "sequence"; readonly last: number }
  /** The change was made, but too few replicas have it. */
  | { readonly kind: "replicas"; readonly error: Error }
  /** An answer of a script, for the caller to handle. */
  | { readonly kind: "answer"; readonly code: string; readonly detail: string }
  /**
   * A repetition would not help. Nothing was done; or, if `isInScript`, what the script does before
   * the command that was refused.
   */
  | { readonly kind: "final"; readonly error: PartdError; readonly isInScript: boolean };

/** Classifies the error of an attempt. */
export function troubleOf(error: unknown, connection: Connection): Trouble {
  if (isPartdError(error)) return { kind: "final", error, isInScript: false };
  if (error instanceof ReplicasError) return { kind: "replicas", error };
  const cause = error as Error;
  const message = cause.message.replace(IN_SCRIPT, "");
  const [word = ""] = message.split(" ", 1);
  const detail = message.slice(word.length + 1);
  switch (word) {
    case "PARTDSEQ":
      return { kind: "sequence", last: Number(detail) };
    case "PARTDLOCKED":
      return { kind: "locked", holder: detail };
    case "PARTDREAD":
    case "PARTDCHANGED":
    case "PARTDSTAGE":
    case "PARTDGONE":
    case "PARTDEVICTED":
      return { kind: "answer", code: word, detail };
  }
  // The server is starting, being replaced, or moving a slot: nothing was done.
  const isSoon = SOON.has(word) || (connection.isCluster && MOVING.has(word));
  if (isSoon) return { kind: "away", isSent: false, error: cause };
  const refusal = describeReply(word, message, connection);
  if (refusal) return { kind: "final", ...refusal(cause) };
  if (/^[A-Z]+$/.test(word) && word.length > 2 && isReply(cause)) {
    return { kind: "final", ...refused("ERR_PARTD_IO", "The Redis server refused", true)(cause) };
  }
  return { kind: "away", isSent: !/offline|closed; |is closed/.test(cause.message), error: cause };
}

/** @returns what a server's reply means that needs someone to act. */
function describeReply(word: string, message: string, connection: Connection) {
  const { address } = connection;
  if (message.includes("cluster support disabled")) {
    return refused("ERR_PARTD_IO", "The Redis server is not one of a cluster: give url, not nodes");
  }
  // Redis 7.0 says so with the word ERR.
  if (message.includes("The user executing the script"))
    return refused("ERR_PARTD_AUTH", NO_RIGHT, true);
  switch (word) {
    case "PARTDLOST":
      return refused("ERR_PARTD_LOCK", "The store's lock was lost to another process");
    case "OOM":
      return refused(
        "ERR_PARTD_IO",
        "The Redis server has no memory left, and nothing was written: raise its maxmemory, or delete or pop what is no longer needed",
      );
    case "READONLY":
      return refused(
        "ERR_PARTD_IO",
        `The Redis server at ${address} is a replica, which cannot be written to: connect to its master`,
      );
    case "MISCONF":
      return refused(
        "ERR_PARTD_IO",
        "The Redis server cannot save to its disk, and refuses to be written to: look at its log, give its disk space, or set stop-writes-on-bgsave-error to no",
      );
    case "NOREPLICAS":
      return refused(
        "ERR_PARTD_IO",
        "The Redis server has fewer replicas than its min-replicas-to-write, and refuses to be written to: start them again, or lower that setting",
      );
    case "MOVED":
      return refused(
        "ERR_PARTD_IO",
        `The Redis server at ${address} is one of a cluster: give the option nodes instead of url`,
      );
    case "NOAUTH":
    case "WRONGPASS":
      return refused(
        "ERR_PARTD_AUTH",
        `The Redis server at ${address} refused the credentials: give its user and password in the url`,
      );
    case "NOPERM":
      return refused("ERR_PARTD_AUTH", NO_RIGHT, true);
    case "WRONGTYPE":
      return refused(
        "ERR_PARTD_CORRUPT",
        "The prefix is used by something else, too: give the store a prefix of its own",
        true,
      );
  }
  return undefined;
}

function refused(code: PartdErrorCode, advice: string, isInScript = false) {
  return (cause: Error) => ({
    error: new PartdError(code, `${advice} (${cause.message}).`, { cause }),
    isInScript,
  });
}

const NO_RIGHT =
  "The user may not do this on the Redis server: allow it EVAL, what the scripts call, and the keys of the prefix";

/** Where a script stood. Redis 6.2 says it before what the command replied. */
const IN_SCRIPT = /^ERR Error running script \(call to \w+\): (?:@user_script: ?\d+: )+-?/;

/** The error for a server that cannot be reached, or is not ready. */
export function unreachable(cause: unknown, connection: Connection): PartdError {
  if (isPartdError(cause)) return cause;
  const { address } = connection;
  const { message: reply } = cause as Error;
  const soon = SOON.get(reply.split(" ", 1)[0] as string);
  if (soon !== undefined) {
    return new PartdError(
      "ERR_PARTD_CONNECTION",
      `The Redis server at ${address} is not ready: ${soon} (${reply}).`,
      { address, cause },
    );
  }
  const error = innermost(connection.lastError ?? cause);
  const trouble = troubleOf(error, connection);
  if (trouble.kind === "final") return trouble.error;
  const { code = "", message } = error as Error & { readonly code?: string };
  const hint = TLS.test(code) || TLS.test(message) ? TLS_HINT : hintOf(code);
  return new PartdError(
    "ERR_PARTD_CONNECTION",
    `The Redis server at ${address} cannot be reached: ${message || code}; ${hint}.`,
    { address, cause },
  );
}

/** The error for a reply that no Redis gives. */
export function strangeReply(reply: unknown, { address }: Connection): PartdError {
  const text = JSON.stringify(String(reply)).slice(0, 100);
  return new PartdError(
    "ERR_PARTD_PROTOCOL",
    `The server at ${address} answered ${text}, which no Redis server does: check that a Redis server listens there, and the proxies in front of it.`,
    { address },
  );
}

function hintOf(code: string): string {
  if (code === "ECONNREFUSED" || code === "ENOENT") return "start it, or correct the address";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "correct the name";
  return "check that it is a Redis server that listens there, and whether TLS is wanted (rediss://) or not (redis://)";
}

const TLS = /SSL|TLS|CERT|SELF_SIGNED|certificate/i;
const TLS_HINT =
  "check that it speaks TLS, and that Node trusts its certificate (NODE_EXTRA_CA_CERTS)";

const SLOT_MOVES = "a slot is being moved; see that the move comes to its end";
/** First words of replies that are temporary, and what to do where they go on. */
const SOON: ReadonlyMap<string, string> = new Map([
  ["LOADING", "it reads its data from its disk; wait, or make retryMs longer than that takes"],
  ["BUSY", "a script of another client runs for long; wait, or end it by SCRIPT KILL"],
  ["MASTERDOWN", "it is a replica that has lost its master; connect to the master"],
  [
    "CLUSTERDOWN",
    "slots of the cluster have no master; start the servers that CLUSTER NODES misses",
  ],
  ["TRYAGAIN", SLOT_MOVES],
  ["ASK", SLOT_MOVES],
  ["UNBLOCKED", "the server was made a replica; connect to the master"],
]);

/** First words of replies that are temporary in a cluster, while one server replaces another. */
const MOVING = new Set(["MOVED", "READONLY"]);

function isReply(error: Error): boolean {
  return /ErrorReply|SimpleError|BlobError/.test(error.constructor.name);
}

/** Unwraps the client's error. If a name has several addresses, the first error is enough. */
function innermost(error: unknown): Error {
  const { socketError, errors } = error as { socketError?: unknown; errors?: unknown[] };
  const inner = socketError ?? errors?.[0];
  return inner === undefined ? (error as Error) : innermost(inner);
}
