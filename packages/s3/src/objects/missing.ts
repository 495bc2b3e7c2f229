import { PartdError } from "@partd/core";

/** The error for a listed object that is gone: the data set may have been dropped since. */
export function missing(key: string): PartdError {
  const error = new PartdError(
    "ERR_PARTD_IO",
    `${key} is gone, though it was listed: the data set was dropped meanwhile, or other software removes its objects.`,
    { address: key },
  );
  gone.add(error);
  return error;
}

/** Whether the error is one of {@link missing}. */
export function isMissing(error: unknown): boolean {
  return gone.has(error as PartdError);
}

const gone = new WeakSet<PartdError>();

/** The error for an object that contradicts its name or length. */
export function contradiction(key: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${key} has another length than its values; it was written by faulty software, or changed.`,
    { address: key },
  );
}
