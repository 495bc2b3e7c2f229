import { types } from "node:util";
import { DefaultDeserializer, DefaultSerializer, serialize } from "node:v8";
import { type Codec, Encode, type EncodeOptions, PartdError, type Store } from "@partd/core";
import {
  behindHeadroom,
  brandOf,
  classOf,
  ENCODE_OPTIONS,
  FRAME_HEADER,
  hasFields,
  joinLists,
  placeOf,
  takeOptions,
  viewOf,
} from "@partd/core/author";
import { checkFormat, DENSE, TooMuch } from "./format.js";
import { checkLoss, countObjects, endsWithFields, GETTER } from "./loss.js";

/**
 * A store of lists of structured-clone values over a store of bytes: `append` adds a list's items
 * to a key's list, and `get` returns all of them. `stream` yields the lists as they were appended.
 *
 * @typeParam T the item type; reads do not check it.
 * @throws `ERR_PARTD_CODEC` if the runtime does not implement V8's serializer.
 * @example new V8<Map<string, Date>>(new Dict())
 */
export class V8<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options: EncodeOptions = {}) {
    super(store, v8Codec<T>(), takeOptions("new V8", options, ENCODE_OPTIONS, new.target !== V8));
  }
}

/**
 * Lists of values that the structured clone algorithm carries, each list as the bytes of V8's own
 * serializer (`node:v8`): also Map, Set, Date, RegExp, BigInt, ArrayBuffer, typed arrays, errors,
 * `undefined`, and shared or circular references.
 *
 * `encode` refuses what the algorithm would leave out, with `ERR_PARTD_CODEC`: functions, symbols
 * and promises; objects that keep their content outside their properties, such as URL, Headers or
 * DOMException; properties of errors (`code`, `errors`, a name that no built-in error has, a message
 * that a getter gives), of Map,
 * Set, Date and the like; properties whose name is a symbol; objects that a getter gives; array items
 * that are not enumerable; more than 1,000 levels; and arrays
 * with far more holes than items; and a RegExp whose `lastIndex` is not 0. An instance of any other
 * class reads back as a plain object.
 *
 * Typed arrays of 4 KiB or more are views of the frame that was read, and keep it in memory;
 * smaller ones are copies.
 *
 * A newer Node reads what an older one wrote, but not always the other way round.
 *
 * @throws `ERR_PARTD_CODEC` if the runtime does not implement V8's serializer.
 */
export function v8Codec<T = unknown>(): Codec<T[]> {
  checkRuntime();
  return {
    name: "v8",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of values.");
      let { loss, plain, objects } = checkLoss(list);
      if (loss !== undefined) throw refuse(`${loss}.`);
      let { bytes, objects: written } = serialized(list);
      checkListFields(list, bytes);
      let byName = bytes[2] !== DENSE;
      // V8 writes a mostly empty array as its length and the items that exist, and `decode` refuses
      // a list longer than its bytes: write it with `undefined` for its holes.
      if (list.length > bytes.byteLength) bytes = serialized(Array.from(list)).bytes;
      // The format of plain values is known. Checking it would be a third of the work.
      if (!plain && checkAsWritten(list, bytes)) byName = true;
      if (byName) {
        ({ loss, objects } = checkLoss(list, true));
        if (loss !== undefined) throw refuse(`${loss}.`);
      }
      if (written > objects || (written < objects && written > countObjects(list))) {
        throw refuse(`the list ${GETTER}.`);
      }
      return bytes;
    },

    decode(bytes) {
      checkFormat(bytes);
      const deserializer = new Deserializer(bytes);
      deserializer.readHeader();
      const list: unknown = deserializer.readValue();
      if (!Array.isArray(list)) {
        throw refuse(
          "it is a structured clone, but not of a list; write a list, also of one item.",
        );
      }
      // `encode` writes at least a byte for each item; a greater length would only take memory.
      if (list.length > bytes.byteLength) throw new Error("the list is longer than its bytes.");
      return list as T[];
    },

    join: joinLists,
  };
}

/** Serializes a list. The serializer's own errors do not say where in the list the value is. */
function serialized(list: readonly unknown[]): Clone {
  try {
    return serializeBehindHeadroom(list);
  } catch (cause) {
    let part: unknown = list;
    const place = placeOf(list, (one) => {
      const isRefused = isUncloneable(one);
      if (isRefused) part = one;
      return isRefused;
    });
    throw refuse(
      `${place || "the list"} is refused: a structured clone cannot carry ${whatIs(part)}; leave it out, or make plain data of it.`,
      cause,
    );
  }
}

/** What a value is, without a look at its properties, of which one may throw. */
function whatIs(value: unknown): string {
  if (typeof value !== "object" || value === null) return `a ${typeof value}`;
  if (types.isProxy(value)) return "a Proxy";
  if (types.isArrayBuffer(value)) return "an ArrayBuffer that was transferred";
  return brandOf(value) ?? "such an object";
}

interface Clone {
  readonly bytes: Uint8Array;
  /** How many objects it holds. */
  readonly objects: number;
}

/**
 * `serialize` with headroom in front. A getter may have returned an object that was not checked, so the
 * objects are counted: V8 numbers them, and one more object, written twice, refers back to itself by
 * its number.
 */
function serializeBehindHeadroom(list: readonly unknown[]): Clone {
  const serializer = new Serializer();
  serializer.writeRawBytes(HEADROOM);
  serializer.writeHeader();
  serializer.writeValue(list);
  const another = {};
  serializer.writeValue(another);
  serializer.writeValue(another);
  const bytes = serializer.releaseBuffer();
  let at = bytes.byteLength - 1;
  let objects = bytes[at] as number;
  while ((bytes[at - 1] as number) >= 0x80)
    objects = objects * 0x80 + ((bytes[--at] as number) & 0x7f);
  return { bytes: behindHeadroom(bytes.subarray(0, at - ANOTHER)), objects };
}

/** An object without properties takes three bytes, then a reference begins with one. */
const ANOTHER = 4;

const HEADROOM = new Uint8Array(FRAME_HEADER);

/** Writes a view as what it is: Node's own asks its properties for the type and the length. */
class Serializer extends DefaultSerializer {
  /** @internal Called by V8. */
  _writeHostObject(view: ArrayBufferView): void {
    const name = classOf.call(view);
    const isBuffer = name === "Uint8Array" && view.constructor === Buffer;
    const type = isBuffer ? BUFFER : VIEW_TYPES.indexOf(name ?? "DataView");
    if (type < 0) throw new Error(`${name} is not known to this codec.`);
    const bytes = name === undefined ? bytesOf(view as DataView) : viewOf(view);
    this.writeUint32(type);
    this.writeUint32(bytes.length);
    this.writeRawBytes(bytes);
  }
}

function bytesOf(view: DataView): Uint8Array {
  const [buffer, byteOffset, byteLength] = DATA_VIEW.map((get) => get.call(view));
  return new Uint8Array(buffer as ArrayBuffer, byteOffset as number, byteLength as number);
}

const DATA_VIEW = (["buffer", "byteOffset", "byteLength"] as const).map((name) => {
  return Object.getOwnPropertyDescriptor(DataView.prototype, name)?.get as () => unknown;
});

/** Node's numbers of the types. */
const VIEW_TYPES = [
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float32Array",
  "Float64Array",
  "DataView",
  "Buffer",
  "BigInt64Array",
  "BigUint64Array",
  "Float16Array",
];
const BUFFER = VIEW_TYPES.indexOf("Buffer");

function isUncloneable(part: unknown): boolean {
  try {
    serializeBehindHeadroom([part]);
    return false;
  } catch {
    return true;
  }
}

/** Refuses fields of the list itself, which would be lost when lists are joined. */
function checkListFields(list: readonly unknown[], bytes: Uint8Array): void {
  if (!endsWithFields(bytes, list.length)) return;
  if (hasFields(list)) {
    throw refuse("the list has fields of its own, which joined lists would not have.");
  }
}

/** Refuses to append what `decode` would refuse to read. */
function checkAsWritten(list: readonly unknown[], bytes: Uint8Array): boolean {
  try {
    return checkFormat(bytes);
  } catch (cause) {
    const place = placeOf(list, isTooMuch) || "the list";
    throw refuse(
      cause instanceof TooMuch
        ? `${place} holds ${cause.message}`
        : `what this runtime writes for it is not understood: ${(cause as Error).message}`,
      cause,
    );
  }
}

function isTooMuch(part: unknown): boolean {
  try {
    checkFormat(serialize(part));
    return false;
  } catch {
    return true;
  }
}

/** Reads small typed arrays as copies. */
class Deserializer extends DefaultDeserializer {
  /** @internal Called by V8. */
  _readHostObject(): object {
    const value = (DefaultDeserializer.prototype as unknown as Deserializer)._readHostObject.call(
      this,
    );
    if (!ArrayBuffer.isView(value) || value.byteLength >= SMALLEST_VIEW) return value;
    if (Buffer.isBuffer(value)) return Buffer.from(value);
    if ("slice" in value) return (value as Uint8Array).slice();
    const { buffer, byteOffset, byteLength } = value;
    return new DataView(buffer.slice(byteOffset, byteOffset + byteLength));
  }
}

const SMALLEST_VIEW = 4096;

let works: boolean | undefined;

function checkRuntime(): void {
  works ??= canRoundTrip();
  if (works) return;
  throw refuse(
    "this runtime does not implement the serializer of node:v8; use @partd/codec-msgpack or @partd/codec-json.",
  );
}

function canRoundTrip(): boolean {
  try {
    const deserializer = new Deserializer(serializeBehindHeadroom([new Uint8Array(1)]).bytes);
    deserializer.readHeader();
    return (deserializer.readValue() as unknown[]).length === 1;
  } catch {
    return false;
  }
}

function refuse(reason: string, cause?: unknown): PartdError {
  return new PartdError("ERR_PARTD_CODEC", reason, { cause });
}
