import { isPartdError, PartdError, type PartdErrorCode } from "./errors.js";
import { decodeKey, encodeKey } from "./keys/keys.js";

/** An error as plain data, which `postMessage`, `structuredClone` and JSON carry whole. */
export interface SerializedError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  /** The code of a `PartdError`, or the one another error has, such as `"ENOSPC"`. */
  readonly code?: string | undefined;
  /** As `encodeKey` writes it. */
  readonly key?: string | undefined;
  readonly offset?: number | undefined;
  readonly path?: string | undefined;
  readonly address?: string | undefined;
  readonly cause?: SerializedError | undefined;
}

/**
 * Makes plain data of an error, for another thread or process. `structuredClone` of an error keeps
 * the message and the cause, but drops `code`, `key` and the like.
 *
 * @example
 * parentPort.postMessage({ error: serializeError(error) });
 */
export function serializeError(error: unknown): SerializedError {
  return serialize(error, 0);
}

/**
 * Makes an error from what {@link serializeError} returned: a `PartdError` again, its causes too.
 */
export function deserializeError(data: SerializedError): Error {
  const { name, message, stack, code, key, offset, path, address } = data;
  const cause = data.cause && deserializeError(data.cause);
  const error =
    name === "PartdError"
      ? new PartdError(code as PartdErrorCode, message, {
          ...{ offset, path, address, cause },
          key: key === undefined ? undefined : decodeKey(key),
        })
      : Object.assign(new Error(message, cause && { cause }), { name }, code && { code });
  if (stack !== undefined) error.stack = stack;
  return error;
}

function serialize(error: unknown, depth: number): SerializedError {
  if (!(error instanceof Error) && !isPartdError(error)) {
    return { name: "Error", message: String(error) };
  }
  const { name, message, stack } = error;
  const cause = depth < DEEPEST && error.cause !== undefined && serialize(error.cause, depth + 1);
  const common = { name, message, ...(stack && { stack }), ...(cause && { cause }) };
  if (!isPartdError(error)) {
    const { code } = error as { code?: unknown };
    return { ...common, ...(typeof code === "string" && { code }) };
  }
  const { code, key, offset, path, address } = error;
  return {
    ...{ ...common, code, offset, path, address },
    key: key === undefined ? undefined : encodeKey(key),
  };
}

/** The most nested causes: an error may be its own cause. */
const DEEPEST = 10;
