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
  /** Nothing was done, and a repetition would not help. */
  | { readonly kind: "final"; readonly error: PartdError };

/** Classifies the error of an attempt. */
export function troubleOf(error: unknown, connection: Connection): Trouble {
  if (isPartdError(error)) return { kind: "final", error };
  if (error instanceof ReplicasError) return { kind: "replicas", error };
  const cause = error as Error;
  const [word = ""] = cause.message.split(" ", 1);
  const detail = cause.message.slice(word.length + 1);
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
    case "PARTDLOST":
      return final("ERR_PARTD_LOCK", "The store's lock was lost to another process", cause);
  }
  // The server is starting, being replaced, or moving a slot: nothing was done.
  const isSoon = SOON.has(word) || (connection.isCluster && MOVING.has(word));
  if (isSoon) return { kind: "away", isSent: false, error: cause };
  if (cause.message.includes("cluster support disabled")) {
    return final(
      "ERR_PARTD_IO",
      "The Redis server is not one of a cluster: give url, not nodes",
      cause,
    );
  }
  const told = describeReply(word, connection);
  if (told) return final(told[0], `${told[1]} (${cause.message})`, cause);
  if (/^[A-Z]+$/.test(word) && word.length > 2 && isReply(cause)) {
    return final("ERR_PARTD_IO", `The Redis server refused: ${cause.message}`, cause);
  }
  return { kind: "away", isSent: !/offline|closed; |is closed/.test(cause.message), error: cause };
}

/** @returns the code and the advice for a server's reply that needs someone to act. */
function describeReply(
  word: string,
  connection: Connection,
): readonly [PartdErrorCode, string] | undefined {
  switch (word) {
    case "OOM":
      return [
        "ERR_PARTD_IO",
        "The Redis server has no memory left, and nothing was written: raise its maxmemory, or delete or pop what is no longer needed",
      ];
    case "READONLY":
      return [
        "ERR_PARTD_IO",
        `The Redis server at ${connection.address} is a replica, which cannot be written to: connect to its master`,
      ];
    case "MISCONF":
      return [
        "ERR_PARTD_IO",
        "The Redis server cannot save to its disk, and refuses to be written to: look at its log, give its disk space, or set stop-writes-on-bgsave-error to no",
      ];
    case "NOREPLICAS":
      return [
        "ERR_PARTD_IO",
        "The Redis server has fewer replicas than its min-replicas-to-write, and refuses to be written to: start them again, or lower that setting",
      ];
    case "MOVED":
      return [
        "ERR_PARTD_IO",
        `The Redis server at ${connection.address} is one of a cluster: give the option nodes instead of url`,
      ];
    case "NOAUTH":
    case "WRONGPASS":
      return [
        "ERR_PARTD_AUTH",
        `The Redis server at ${connection.address} refused the credentials: give its user and password in the url`,
      ];
    case "NOPERM":
      return [
        "ERR_PARTD_AUTH",
        "The user may not do this on the Redis server: allow it EVAL and the keys of the prefix",
      ];
    case "WRONGTYPE":
      return [
        "ERR_PARTD_CORRUPT",
        "The prefix is used by something else, too: give the store a prefix of its own",
      ];
  }
  return undefined;
}

/** The error for a server that cannot be reached. */
export function unreachable(cause: unknown, connection: Connection, outcome = ""): PartdError {
  const error = innermost(connection.lastError ?? cause);
  const trouble = troubleOf(error, connection);
  if (trouble.kind === "final") return trouble.error;
  const { code = "", message } = error as Error & { readonly code?: string };
  const hint = TLS.test(code) || TLS.test(message) ? TLS_HINT : hintOf(code);
  return new PartdError(
    "ERR_PARTD_CONNECTION",
    `The Redis server at ${connection.address} cannot be reached: ${message || code}; ${hint}.${outcome}`,
    { address: connection.address, cause },
  );
}

function hintOf(code: string): string {
  if (code === "ECONNREFUSED" || code === "ENOENT") return "start it, or correct the address";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "correct the name";
  return "check the address, and whether TLS is wanted (rediss://) or not (redis://)";
}

const TLS = /SSL|TLS|CERT|SELF_SIGNED|certificate/i;
const TLS_HINT =
  "check that it speaks TLS, and that Node trusts its certificate (NODE_EXTRA_CA_CERTS)";

/** First words of replies that are temporary. */
const SOON = new Set([
  "LOADING",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "MASTERDOWN",
  "BUSY",
  "ASK",
  "UNBLOCKED",
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

function final(code: PartdErrorCode, message: string, cause: Error): Trouble {
  return { kind: "final", error: new PartdError(code, `${message}.`, { cause }) };
}
