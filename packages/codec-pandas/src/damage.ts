import { isPartdError } from "@partd/core";

/** What a frame says of itself and does not keep, in words for the reader of a message. */
export class Damage extends Error {}

/** What decoding threw; what a library or the runtime says of its own parts, in other words. */
export function explained(error: unknown): unknown {
  if (isPartdError(error) || error instanceof Damage) return error;
  return new Damage("one of its parts is none, or was compressed by what is not known here.", {
    cause: error,
  });
}
