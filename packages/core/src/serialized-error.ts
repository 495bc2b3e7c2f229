import { isPartdError, PartdError, type PartdErrorCode } from "./errors.js";
import { decodeKey, encodeKey } from "./keys/keys.js";

/** An error as plain data, which `postMessage`, `structuredClone` and JSON carry whole. */
export interface SerializedError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  /** Of a `PartdError` its own code, of another error what that has, such as `"ENOSPC"`. */
  readonly code?: string | undefined;
  /** As `encodeKey` writes it. */
  readonly key?: string | undefined;
  readonly offset?: number | undefined;
  readonly path?: string | undefined;
  readonly address?: string | undefined;
  readonly cause?: SerializedError | undefined;
}

/**
 * Makes plain data of an error, for another thread or process: of an error itself `structuredClone`
 * keeps the message and the cause, and drops `code`, `key` and all else.
 *
 * @example
 * parentPort.postMessage({ error: serializeError(error) });
 */
export function serializeError(error: unknown): SerializedError {
  return serialize(error, 0);
}

/** What {@link serializeError} was given: a `PartdError` again, its causes too. */
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

/** Causes of causes, one of which may be its own. */
const DEEPEST = 10;
