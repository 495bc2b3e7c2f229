import type { Key } from "./keys/keys.js";

/** What went wrong, in a form that programs can compare. Codes never change their meaning. */
export type PartdErrorCode =
  /** A key is not a string or tuple, or is not well-formed Unicode. */
  | "ERR_PARTD_KEY"
  /** A value is of the wrong type or too large to be held in one piece. */
  | "ERR_PARTD_VALUE"
  /** The store was closed. */
  | "ERR_PARTD_CLOSED"
  /** The store's lock could not be had, or was lost to another process. */
  | "ERR_PARTD_LOCK"
  /** Stored bytes are damaged, cut short or not of the expected format. */
  | "ERR_PARTD_CORRUPT"
  /** A codec cannot carry a value, or refuses to decode one. */
  | "ERR_PARTD_CODEC"
  /** The file system or another lower layer failed. */
  | "ERR_PARTD_IO"
  /** A server cannot be reached, or the outcome of a request is unknown. */
  | "ERR_PARTD_CONNECTION"
  /** A server refused the credentials. */
  | "ERR_PARTD_AUTH"
  /** A peer broke the wire protocol. */
  | "ERR_PARTD_PROTOCOL";

/** The circumstances of an error, as far as they are known. */
export interface PartdErrorContext {
  /** The key that was being read or written. */
  readonly key?: Key | undefined;
  /** Position in bytes, within the key's value unless the message says otherwise. */
  readonly offset?: number | undefined;
  /** The file or directory concerned. */
  readonly path?: string | undefined;
  /** The server's address. */
  readonly address?: string | undefined;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/** Recognises errors of another copy of this package, where `instanceof` would not. */
const brand: unique symbol = Symbol.for("@partd/core/error") as never;

/** Every error that partd raises. */
export class PartdError extends Error {
  /** Always `"PartdError"`. */
  override readonly name = "PartdError";
  /** What went wrong, for programs; `message` says it to people, and what to do. */
  readonly code: PartdErrorCode;
  // Only declared: fields without a value are not set, so that printing an error does not show
  // them.
  /** The key that was being read or written. */
  declare readonly key: Key | undefined;
  /** Position in bytes, within the key's value unless the message says otherwise. */
  declare readonly offset: number | undefined;
  /** The file or directory concerned. */
  declare readonly path: string | undefined;
  /** The server's address. */
  declare readonly address: string | undefined;
  constructor(code: PartdErrorCode, message: string, context: PartdErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    if (context.key !== undefined) this.key = context.key;
    if (context.offset !== undefined) this.offset = context.offset;
    if (context.path !== undefined) this.path = context.path;
    if (context.address !== undefined) this.address = context.address;
  }

  get [brand](): true {
    return true;
  }
}

/**
 * Whether `error` was raised by partd and, if `code` is given, with that code, to which the type of
 * `error.code` narrows.
 *
 * @example
 * try { await store.get("x") } catch (error) {
 *   if (isPartdError(error, "ERR_PARTD_CORRUPT")) console.error(error.key, error.offset);
 * }
 */
export function isPartdError<C extends PartdErrorCode = PartdErrorCode>(
  error: unknown,
  code?: C,
): error is PartdError & { readonly code: C } {
  return (
    typeof error === "object" &&
    error !== null &&
    brand in error &&
    (code === undefined || (error as PartdError).code === code)
  );
}
