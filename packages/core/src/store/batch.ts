import { PartdError } from "../errors.js";
import { decodeKey, describeKey, encodeKey, type Key } from "../keys/keys.js";
import { bufferOf, classOf, lengthOf, offsetOf } from "../memory/typed-array.js";
import { describeArgument } from "../option-names.js";
import type { Entries } from "./store.js";

/** What one append writes: `values[i]` belongs to `keys[i]`. No value is empty. */
export interface Batch {
  /** Encoded keys; one may occur several times. */
  readonly keys: readonly string[];
  readonly values: readonly Uint8Array[];
  /** Sum of the values' lengths. */
  readonly byteLength: number;
}

/**
 * A batch as the entries of an append, for a server or another layer that receives encoded keys and
 * passes them on: the store takes the batch as it is, without decoding, encoding and checking each
 * key.
 */
export class BatchEntries implements Iterable<readonly [Key, Uint8Array]> {
  readonly batch: Batch;

  /** @param batch its keys come from `encodeKey`, or `decodeKey` accepts them. */
  constructor(batch: Batch) {
    this.batch = batch;
  }

  *[Symbol.iterator](): Generator<readonly [Key, Uint8Array], void, undefined> {
    const { keys, values } = this.batch;
    for (let i = 0; i < keys.length; i++) {
      yield [decodeKey(keys[i] as string), values[i] as Uint8Array];
    }
  }
}

/**
 * Checks and gathers the entries of an append before anything is written. Empty values are left
 * out, since appending nothing changes nothing.
 */
export function toBatch(data: Entries<Uint8Array>): Batch {
  if (data instanceof BatchEntries) return data.batch;
  const gathered = new Gathered(sizeOf(data));
  // Two loops: a common one would make an object of each entry of a Map.
  if (data instanceof Map) for (const [key, value] of data) gathered.add(key, value);
  else for (const [key, value] of entriesOf(data)) gathered.add(key, value);
  return gathered.batch;
}

/** Preallocates its arrays where the length is known: growing them costs a fifth of the time. */
class Gathered {
  readonly #keys: string[];
  readonly #values: Uint8Array[];
  #size = 0;
  #byteLength = 0;

  constructor(size: number) {
    this.#keys = new Array<string>(size);
    this.#values = new Array<Uint8Array>(size);
  }

  add(key: Key, value: Uint8Array): void {
    const text = encodeKey(key);
    const bytes = takeBytes(key, value);
    // Not `byteLength`: that takes 7 ns each time, and is the same for bytes.
    const { length } = bytes;
    if (length === 0) return;
    this.#keys[this.#size] = text;
    this.#values[this.#size++] = bytes;
    this.#byteLength += length;
  }

  get batch(): Batch {
    // To set a length takes 0.1 µs, also one that is right: 2 % of an append of one key to a LogStore.
    if (this.#keys.length !== this.#size) {
      this.#keys.length = this.#size;
      this.#values.length = this.#size;
    }
    return { keys: this.#keys, values: this.#values, byteLength: this.#byteLength };
  }
}

/** The most entries there can be, or 0 if that is not known. */
function sizeOf(data: Entries<Uint8Array>): number {
  if (data instanceof Map) return data.size;
  return Array.isArray(data) ? data.length : 0;
}

/** The encoded keys of an append and the value of each, not checked. */
export function columnsOf<V>(data: Entries<V>): {
  readonly keys: readonly string[];
  readonly values: readonly V[];
} {
  // The values of a batch are bytes, as are those of the codecs for which batches are passed on.
  if (data instanceof BatchEntries) return data.batch as unknown as { keys: string[]; values: V[] };
  const keys: string[] = [];
  const values: V[] = [];
  for (const [key, value] of entriesOf(data)) {
    keys.push(encodeKey(key));
    values.push(value);
  }
  return { keys, values };
}

/** The entries of any form of argument that `append` takes. */
export function entriesOf<V>(data: Entries<V>): Iterable<readonly [Key, V]> {
  if (typeof data !== "object" || data === null) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `append takes an object, as in append({ key: value }), a Map or a list of [key, value] pairs, not ${describeArgument(data)}.`,
    );
  }
  if (data instanceof Map) return data; // A Map's entries need no check.
  if (Symbol.iterator in data) return pairsOf(data as Iterable<readonly [Key, V]>);
  checkRecord(data);
  return Object.entries(data);
}

/**
 * The bytes of a value. A subclass, or an array with a `length`, `subarray` or place of its own,
 * becomes a plain array over the same memory: its `length` may lie, `Symbol.species` may change what a
 * part is, and whatever sends bytes, such as a socket, asks for their `buffer`. From here on `length`
 * can be trusted.
 *
 * @throws `ERR_PARTD_VALUE` unless `value` is bytes, and if its memory was transferred or made shorter:
 *   the bytes would look like none.
 */
export function takeBytes(key: Key, value: unknown): Uint8Array {
  if (!isBytes(value)) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `The value for key ${describeKey(key)} must be a Uint8Array, not ${typeName(value)}; wrap the store in a codec to append other values.`,
      { key },
    );
  }
  const bytes = plainBytes(value);
  if (bytes !== undefined) return bytes;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `The value for key ${describeKey(key)} has lost its bytes: ${LOST_BYTES}`,
    { key },
  );
}

/** The same for bytes without a key; `undefined` if they are lost. */
export function plainBytes(value: Uint8Array): Uint8Array | undefined {
  const { constructor: made, subarray } = value;
  const isPlain =
    (made === Uint8Array && subarray === cut) || (made === nodeBuffer && subarray === cutNode);
  const length = lengthOf.call(value);
  const isSame = length === value.length && (length < COPIED || !hasOwnPlace(value));
  if (isPlain && length > 0 && isSame) return value;
  if (length === 0 && isLost(value)) return undefined;
  return new Uint8Array(bufferOf.call(value), offsetOf.call(value), length);
}

/** Shorter values are copied, or written by Node, which knows where they lie: to look for such properties takes 20 ns. */
const COPIED = 1024;

function hasOwnPlace(value: Uint8Array): boolean {
  return PLACE.some((name) => Object.hasOwn(value, name));
}

const PLACE = ["buffer", "byteOffset", "byteLength"];

/**
 * Whether the memory of an array without items was transferred, or made shorter than where the array
 * lies. Typed arrays tell it only by an error.
 */
export function isLost(array: ArrayBufferView): boolean {
  try {
    itemOf.call(array as Uint8Array, 0);
    return false;
  } catch {
    return true;
  }
}

/** How an error message about such bytes ends. */
export const LOST_BYTES = "its buffer was transferred or made shorter; append it before that.";

/**
 * Call this after a wait, before the values are used.
 *
 * @throws `ERR_PARTD_VALUE` if the caller has transferred or resized the buffer of a value meanwhile.
 */
export function checkIntact(batch: Batch): void {
  const error = changeOf(batch);
  if (error) throw error;
}

/** The error for a batch whose values are no longer as long as they were. */
export function changeOf({ keys, values, byteLength }: Batch): PartdError | undefined {
  // By the getter: where V8 has seen resizable arrays, too, its fast code for `.length` gives the old length
  // of an array that was transferred (Node 20). This takes 5 ns more for each value.
  let left = byteLength;
  for (let i = 0; i < values.length; i++) left -= lengthOf.call(values[i]);
  if (left === 0) return undefined;
  return changedMeanwhile(keys[values.findIndex((value) => lengthOf.call(value) === 0)]);
}

/** @param text the encoded key of the value, if it is known. */
export function changedMeanwhile(text?: string): PartdError {
  const key = text === undefined ? undefined : decodeKey(text);
  const whose = key === undefined ? "a value" : `the value for key ${describeKey(key)}`;
  return new PartdError(
    "ERR_PARTD_VALUE",
    `The buffer of ${whose} was transferred or resized while it was being written, so nothing was written; leave it as it is until the call has resolved.`,
    { key },
  );
}

/**
 * Also true for a Uint8Array of another realm (a vm context, an iframe), which fails `instanceof`; not
 * for a Proxy of one, which has no bytes, nor for another array that has the tag of one.
 */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && classOf.call(value) === "Uint8Array";
}

/** @throws `ERR_PARTD_VALUE` for promises and async iterables, which look like an empty object. */
function checkRecord(data: object): void {
  const isPromise = "then" in data && typeof data.then === "function";
  if (!isPromise && !(Symbol.asyncIterator in data)) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    isPromise
      ? "append takes entries, not a promise of them; await it first."
      : "append takes entries, not an async iterable; append each of its batches.",
  );
}

function* pairsOf<V>(pairs: Iterable<readonly [Key, V]>): Iterable<readonly [Key, V]> {
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "append takes [key, value] pairs: one has another form.",
      );
    }
    yield pair as unknown as readonly [Key, V];
  }
}

const nodeBuffer = (globalThis as { Buffer?: { prototype: Uint8Array } }).Buffer;
const { at: itemOf, subarray: cut } = Uint8Array.prototype;
const cutNode = nodeBuffer?.prototype.subarray;

function typeName(value: unknown): string {
  if (value === null || typeof value !== "object") return value === null ? "null" : typeof value;
  return value.constructor?.name ?? "an object";
}
