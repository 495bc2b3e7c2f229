import { PartdError, type Store } from "@partd/core";
import { type Blocks, isSpillable, type Spillable } from "@partd/core/memory";

/**
 * Makes sure that a buffer can be made of the two stores, and takes the fast one for it.
 *
 * @throws `ERR_PARTD_VALUE` if it cannot.
 */
export function takeParts(fast: Store & Spillable, slow: Store): void {
  if (!isObject(fast) || !isSpillable(fast)) {
    throw refusal(
      `fast must be a Dict, or another store that is Spillable, not ${nameOf(fast)}; put codecs and compressors around the slow store or around the buffer.`,
    );
  }
  if (!isStore(slow)) throw refusal(`slow must be a store of bytes, not ${nameOf(slow)}.`);
  if ((slow as unknown) === fast) throw refusal("fast and slow must be two stores, not the same.");
  if (taken.has(fast.blocks)) {
    throw refusal("fast belongs to another BufferStore already; give each a new Dict.");
  }
  taken.add(fast.blocks);
}

/** Two buffers over the same values would each cut off what the other has on its way. */
const taken = new WeakSet<Blocks>();

function isStore(value: unknown): value is Store {
  return isObject(value) && ["append", "get", "withLock"].every((name) => isFunction(value, name));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isFunction(value: object, name: string): boolean {
  return typeof (value as Readonly<Record<string, unknown>>)[name] === "function";
}

function nameOf(value: unknown): string {
  if (!isObject(value)) return String(value);
  return value.constructor?.name || "an object";
}

function refusal(reason: string): PartdError {
  return new PartdError("ERR_PARTD_VALUE", `A BufferStore cannot be made: ${reason}`);
}
