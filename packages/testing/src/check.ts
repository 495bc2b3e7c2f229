import { isPartdError, type Key, type PartdErrorCode } from "@partd/core";
import { sameKey } from "@partd/core/author";

/** Thrown when a contract is broken. */
export class ContractError extends Error {
  override readonly name = "ContractError";
}

export function fail(message: string, cause?: unknown): never {
  throw new ContractError(message, { cause });
}

export function ok(condition: unknown, message: string): asserts condition {
  if (!condition) fail(message);
}

/** Fails unless the two have the same structure. Bytes of any class are equal. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  if (!sameValue(actual, expected)) {
    fail(`${what}: expected ${show(expected)}, got ${show(actual)}`);
  }
}

/**
 * Fails unless `work` rejects with a `PartdError` of this code that names `key`, if given. A call
 * that throws instead of rejecting fails, too.
 */
export async function rejects(
  work: () => Promise<unknown>,
  code: PartdErrorCode,
  what: string,
  key?: Key,
): Promise<void> {
  const error = await rejection(work, what);
  if (!isPartdError(error, code)) fail(`${what}: expected ${code}, got ${show(error)}`, error);
  if (key === undefined) return;
  ok(
    error.key !== undefined && sameKey(error.key, key),
    `${what}: the error's key should be ${show(key)}, not ${show(error.key)}`,
  );
}

/**
 * Returns what `work` rejects with. Fails if it resolves, or throws before it returns a promise.
 */
export async function rejection(work: () => Promise<unknown>, what: string): Promise<unknown> {
  let promise: Promise<unknown>;
  try {
    promise = work();
  } catch (error) {
    fail(`${what}: threw ${show(error)}, and should have rejected`, error);
  }
  const [result] = await Promise.allSettled([promise]);
  if (result.status === "rejected") return result.reason;
  fail(`${what}: should have rejected, and resolved with ${show(result.value)}`);
}

/** Structural equality of plain data, typed arrays, maps, sets and dates. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (ArrayBuffer.isView(a) || ArrayBuffer.isView(b)) {
    return ArrayBuffer.isView(a) && ArrayBuffer.isView(b) && sameView(a, b);
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && sameList(a, b);
  }
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof Map && b instanceof Map) return sameList([...a], [...b]);
  if (a instanceof Set && b instanceof Set) return sameList([...a], [...b]);
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every(
      (name) =>
        Object.hasOwn(b, name) && sameValue(a[name as keyof object], b[name as keyof object]),
    )
  );
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => sameValue(item, b[i]));
}

function sameView(a: ArrayBufferView, b: ArrayBufferView): boolean {
  if (a.byteLength !== b.byteLength || tag(a) !== tag(b)) return false;
  const left = new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
  const right = new Uint8Array(b.buffer, b.byteOffset, b.byteLength);
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  return true;
}

/** The tag, such as `[object Uint8Array]`, also of a subclass or an array of another realm. */
function tag(value: object): string {
  return Object.prototype.toString.call(value);
}

/** Describes a value for a message: briefly, and without ever failing. */
export function show(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    const text = new TextDecoder().decode(bytes.subarray(0, 40));
    return `${value.byteLength} bytes ${JSON.stringify(text)}${bytes.length > 40 ? "…" : ""}`;
  }
  if (Array.isArray(value)) {
    const rest = value.length > 8 ? ", …" : "";
    return `[${value.slice(0, 8).map(show).join(", ")}${rest}] (${value.length})`;
  }
  if (typeof value === "string") return JSON.stringify(value.slice(0, 200));
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}
