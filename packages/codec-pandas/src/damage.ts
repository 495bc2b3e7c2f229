import { isPartdError } from "@partd/core";

/** A frame contradicts itself; the message says how. */
export class Damage extends Error {}

/** An error of decoding in plain words, if it comes from a library or the runtime. */
export function explained(error: unknown): unknown {
  if (isPartdError(error) || error instanceof Damage) return error;
  return new Damage("one of its parts is none, or was compressed by what is not known here.", {
    cause: error,
  });
}
