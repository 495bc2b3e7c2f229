import { PartdError } from "@partd/core";
import type { Terms } from "./protocol.js";
import type { Request } from "./request.js";

export function outcomeUnknown(address: string, cause?: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_CONNECTION",
    `The outcome is unknown: the connection to ${address} was lost before the answer, and the server ${cause ? "did not come back" : "was restarted or has forgotten this session"}. It was carried out whole or not at all; read what is there before you repeat it.`,
    { address, cause },
  );
}

export function tooLarge(request: Request, terms: Terms, address: string): PartdError {
  const { bound, keyCount } = request.body;
  return new PartdError(
    "ERR_PARTD_VALUE",
    keyCount > terms.keys
      ? `A request names ${keyCount} keys, and the server at ${address} takes ${terms.keys} at once; ask in several, or raise its limits.keys.`
      : `A request has up to ${bound} bytes, and the server at ${address} takes ${terms.request} at once; append in several, or raise its limits.request.`,
    { address },
  );
}

export function lockLost(address: string): PartdError {
  return new PartdError(
    "ERR_PARTD_LOCK",
    `The connection to ${address} broke, and with it the lock was lost: what the critical section had done stays, the rest of it did not run.`,
    { address },
  );
}
