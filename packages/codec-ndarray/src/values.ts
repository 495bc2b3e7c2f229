import { MsgPackDecoder, MsgPackEncoder } from "@partd/codec-msgpack/format";
import { type Key, PartdError } from "@partd/core";
import { concatBytes, frame, splitFrames } from "@partd/core/author";
import { type Dtype, parseDtype } from "./dtype.js";
import { DtypeArray } from "./dtype-array.js";
import { bytesToNumbers, DTYPE_OF_TAG, type NumericArray, numbersToBytes } from "./numeric.js";

export type { NumericArray } from "./numeric.js";

/** A typed array; what it means where JavaScript has no type for it; or a list of objects. */
export type NdValue = NumericArray | DtypeArray | unknown[];

/** @throws `ERR_PARTD_CODEC` for what is no array. */
export function dtypeOf(value: unknown): Dtype {
  if (value instanceof DtypeArray) return parseDtype(value.dtype);
  if (Array.isArray(value)) return OBJECT;
  const type = DTYPE_OF_TAG.get(Object.prototype.toString.call(value));
  if (type !== undefined) return parseDtype(type);
  throw new PartdError(
    "ERR_PARTD_CODEC",
    "it takes a typed array, ndarray(dtype, data), or a list of objects.",
  );
}

/** Bytes to append to a key of the dtype, which may differ from the value's in byte order. */
export function encodeArray(value: NdValue, dtype: Dtype): Uint8Array {
  if (Array.isArray(value)) {
    return value.length === 0 ? new Uint8Array() : frame(encoder.encode(value));
  }
  return numbersToBytes(value instanceof DtypeArray ? value.data : value, dtype);
}

/** What one key's bytes, or a run of whole items of them, say. */
export function decodeArray(bytes: Uint8Array, dtype: Dtype, key: Key): NdValue {
  if (dtype.kind === "O") {
    const items: unknown[] = [];
    for (const { bytes: list, offset } of splitFrames(bytes, key)) {
      for (const item of decodeObjects(list, offset)) items.push(item);
    }
    return items;
  }
  const rest = bytes.byteLength % dtype.itemSize;
  if (rest !== 0) {
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `it ends within an item of ${dtype.itemSize} bytes; it was cut short, or was not written through NdArray.`,
      { offset: bytes.byteLength - rest },
    );
  }
  const numbers = bytesToNumbers(bytes, dtype);
  return PLAIN.has(dtype.type) ? numbers : new DtypeArray(hostOrder(dtype), numbers);
}

/** The items of one frame of an object array. */
export function decodeObjects(list: Uint8Array, offset: number): unknown[] {
  if (list[0] === 0x80 && (list[1] as number) >= 2 && (list[1] as number) <= 5) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      "it holds a pickle, which NumPy objects that MessagePack cannot carry are written as; convert them to text or numbers first.",
      { offset },
    );
  }
  try {
    const items = decoder.decode(list);
    if (Array.isArray(items)) return items;
  } catch (cause) {
    throw new PartdError("ERR_PARTD_CORRUPT", (cause as Error).message, { offset, cause });
  }
  throw new PartdError("ERR_PARTD_CORRUPT", "its objects are no list.", { offset });
}

/** Pieces of any length, as runs of whole items. */
export class WholeItems {
  readonly #itemSize: number;
  #rest: Uint8Array = new Uint8Array();

  constructor(dtype: Dtype) {
    this.#itemSize = dtype.itemSize;
  }

  push(piece: Uint8Array): Uint8Array {
    const bytes = this.#rest.byteLength > 0 ? concatBytes([this.#rest, piece]) : piece;
    const end = bytes.byteLength - (bytes.byteLength % this.#itemSize);
    this.#rest = bytes.slice(end);
    return bytes.subarray(0, end);
  }

  /** What is left when no more comes: an item's beginning, or nothing. */
  get rest(): Uint8Array {
    return this.#rest;
  }
}

const OBJECT = parseDtype("O");
const encoder = new MsgPackEncoder();
const decoder = new MsgPackDecoder();

/** What a typed array says by itself. */
const PLAIN = new Set(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]);

function hostOrder(dtype: Dtype): Dtype {
  return dtype.swapped ? parseDtype(dtype.type) : dtype;
}
