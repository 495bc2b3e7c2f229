import { MsgPackDecoder, MsgPackEncoder } from "@partd/codec-msgpack/format";
import { isPickle, Pickler, Unpickler } from "@partd/codec-pickle/format";
import { isPartdError, type Key, PartdError } from "@partd/core";
import {
  classOf,
  concatBytes,
  frame,
  hasViewFields,
  isLost,
  LOST_BYTES,
  splitFrames,
} from "@partd/core/author";
import { type Dtype, parseDtype } from "./dtype.js";
import { DtypeArray, hostOrder, isPlain } from "./dtype-array.js";
import { bytesToNumbers, DTYPE_OF_CLASS, type NumericArray, numbersToBytes } from "./numeric.js";

export type { NumericArray } from "./numeric.js";

/** A typed array, an array with a dtype, or a list of objects. */
export type NdValue = NumericArray | DtypeArray | unknown[];

/** @throws `ERR_PARTD_CODEC` if the value is not an array. */
export function dtypeOf(value: unknown): Dtype {
  if (value instanceof DtypeArray) return parseDtype(value.dtype);
  if (Array.isArray(value)) return OBJECT;
  const dtype = CLASS_DTYPES.get(classOf.call(value));
  if (dtype !== undefined) return dtype;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    "it takes a typed array, ndarray(dtype, data), or a list of objects.",
  );
}

/**
 * The bytes to append to a key of `dtype`, which may differ from the value's own in byte order.
 *
 * @throws `ERR_PARTD_VALUE` if the memory of the array was transferred or made shorter since it was made.
 */
export function encodeArray(value: NdValue, dtype: Dtype): Uint8Array {
  if (Array.isArray(value)) {
    return value.length === 0 ? new Uint8Array() : frame(encodeObjects(value));
  }
  const data = value instanceof DtypeArray ? value.data : value;
  if ((data.length === 0 && isLost(data)) || !Number.isInteger(value.length)) {
    throw new PartdError("ERR_PARTD_VALUE", `it has lost numbers: ${LOST_BYTES}`);
  }
  if (hasViewFields(data)) {
    throw new PartdError("ERR_PARTD_CODEC", "it has fields of its own, which would be lost.");
  }
  if (dtype.kind === "b") checkBooleans(data as Uint8Array);
  if (dtype.type === "f2" && data instanceof Float32Array) checkHalves(data);
  if (dtype.kind === "U") checkCodePoints(data as Uint32Array);
  return numbersToBytes(data, dtype);
}

/**
 * Encodes objects in MessagePack or, if Python could not read that or it cannot carry them, as a
 * pickle: as Python does.
 */
function encodeObjects(items: unknown[]): Uint8Array {
  try {
    return strictEncoder.encode(items);
  } catch (error) {
    if (!isPartdError(error, "ERR_PARTD_CODEC")) throw error;
  }
  try {
    return pickler.dump(items);
  } catch {
    return encoder.encode(items); // If it fails, its error is the one to report.
  }
}

/** NumPy takes any other byte for true, but as equal to neither true nor false. */
function checkBooleans(data: Uint8Array): void {
  const bad = data.findIndex((byte) => byte > 1);
  if (bad < 0) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `item ${bad} of bools is ${data[bad]}, and may be 0 or 1.`,
  );
}

/** A larger number would be read back as infinite; a fraction is rounded, as NumPy rounds it. */
function checkHalves(data: Float32Array): void {
  const bad = data.findIndex(
    (number) => Math.abs(number) >= LEAST_INFINITE && Number.isFinite(number),
  );
  if (bad < 0) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `item ${bad} of float16 is ${data[bad]}, and may be 65504 at most: use float32.`,
  );
}

/** What is closer to 65,504, the largest half, than to the next power of two is rounded down. */
const LEAST_INFINITE = 65_520;

/** NumPy keeps other numbers, and fails when the text is read. */
function checkCodePoints(data: Uint32Array): void {
  const bad = data.find((code) => code > 0x10ffff);
  if (bad === undefined) return;
  throw new PartdError("ERR_PARTD_CODEC", `0x${bad.toString(16)} in a text is not a character.`);
}

/** Decodes a key's bytes, or a run of whole items. */
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
  return isPlain(dtype) ? numbers : new DtypeArray(hostOrder(dtype), numbers);
}

/** Decodes one frame of an object array. */
export function decodeObjects(list: Uint8Array, offset: number): unknown[] {
  let items: unknown;
  try {
    items = isPickle(list) ? unpickler.load(list) : decoder.decode(list);
  } catch (cause) {
    const code = isPartdError(cause) ? cause.code : "ERR_PARTD_CORRUPT";
    throw new PartdError(code, (cause as Error).message, { offset, cause });
  }
  if (Array.isArray(items)) return items;
  throw new PartdError("ERR_PARTD_CODEC", "its objects are not a list; write a list of them.", {
    offset,
  });
}

/** Cuts pieces of any length into runs of whole items. */
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

  /** The bytes of an unfinished item, empty at a proper end. */
  get rest(): Uint8Array {
    return this.#rest;
  }
}

const OBJECT = parseDtype("O");
const CLASS_DTYPES = new Map([...DTYPE_OF_CLASS].map(([name, type]) => [name, parseDtype(type)]));
const encoder = new MsgPackEncoder();
const strictEncoder = new MsgPackEncoder({ keys: "text" });
const decoder = new MsgPackDecoder();

const pickler = new Pickler();
const unpickler = new Unpickler();
