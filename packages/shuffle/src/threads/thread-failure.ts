import { isPartdError, PartdError, type PartdErrorCode } from "@partd/core";
import { RecordError, type RecordErrorData } from "@partd/records";

/** An error on its way from a thread: an `Error` itself would lose its class and its code. */
export type ThreadFailure =
  | { readonly record: RecordErrorData }
  | { readonly message: string; readonly code: string | undefined };

/** Makes an error a message. */
export function failureOf(error: unknown): ThreadFailure {
  if (error instanceof RecordError) return { record: error.toJSON() };
  const { message, code } = error as NodeJS.ErrnoException;
  return { message, code: isPartdError(error) || code ? code : undefined };
}

/** Makes the error again. A code of the system becomes that of a failed write. */
export function errorOf(failure: ThreadFailure): Error {
  if ("record" in failure) return RecordError.from(failure.record);
  const { message, code } = failure;
  if (code?.startsWith("ERR_PARTD_")) return new PartdError(code as PartdErrorCode, message);
  return Object.assign(new Error(message), code === undefined ? {} : { code, syscall: "write" });
}
