import type { Dtype } from "./dtype.js";
import { float16Array, fromFloat16, toFloat16 } from "./float16.js";

/** A typed array; where the runtime has it, also a `Float16Array`. */
export type NumericArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** A typed array's class. */
export interface NumericArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): NumericArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumericArray;
}

/** How the items of a dtype stand in a typed array. */
export interface ArrayType {
  readonly type: NumericArrayType;
  /** Classes that can be written, as `Object.prototype.toString` names them. */
  readonly tags: readonly string[];
  readonly needs: string;
}

/** The dtype (NumPy's letter and size) that each typed array is written under by itself. */
export const DTYPE_OF_TAG: ReadonlyMap<string, string> = new Map([
  ["[object Int8Array]", "i1"],
  ["[object Uint8Array]", "u1"],
  ["[object Uint8ClampedArray]", "u1"],
  ["[object Int16Array]", "i2"],
  ["[object Uint16Array]", "u2"],
  ["[object Int32Array]", "i4"],
  ["[object Uint32Array]", "u4"],
  ["[object BigInt64Array]", "i8"],
  ["[object BigUint64Array]", "u8"],
  ["[object Float16Array]", "f2"],
  ["[object Float32Array]", "f4"],
  ["[object Float64Array]", "f8"],
]);

/** `undefined` for objects. */
export function arrayTypeOf({ kind, type }: Dtype): ArrayType | undefined {
  return ARRAY_TYPES.get(kind === "M" || kind === "m" ? "i8" : type);
}

/** The bytes of `data` under `dtype`: a view, unless the byte order is another. */
export function numbersToBytes(data: NumericArray, dtype: Dtype): Uint8Array {
  const halves = dtype.type === "f2" && data instanceof Float32Array ? toFloat16(data) : data;
  const bytes = new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
  return dtype.swapped ? swapWords(bytes.slice(), dtype.wordSize) : bytes;
}

/** The numbers that whole items say: a view where order and alignment allow, else a copy. */
export function bytesToNumbers(bytes: Uint8Array, dtype: Dtype): NumericArray {
  const half = dtype.type === "f2" && float16Array === undefined;
  const { type } = half ? HALVES : (arrayTypeOf(dtype) as ArrayType);
  const width = type.BYTES_PER_ELEMENT;
  const whole = dtype.swapped || bytes.byteOffset % width !== 0 ? new Uint8Array(bytes) : bytes;
  if (dtype.swapped) swapWords(whole, dtype.wordSize);
  const numbers = new type(whole.buffer, whole.byteOffset, whole.byteLength / width);
  return half ? fromFloat16(numbers as Uint16Array) : numbers;
}

/** Turns the order of bytes within each word of 2, 4 or 8, in place. */
function swapWords(bytes: Uint8Array, size: number): Uint8Array {
  for (let start = 0; start + size <= bytes.byteLength; start += size) {
    for (let low = start, high = start + size - 1; low < high; low++, high--) {
      const byte = bytes[low] as number;
      bytes[low] = bytes[high] as number;
      bytes[high] = byte;
    }
  }
  return bytes;
}

const HALVES = arrayType(Uint16Array, "Uint16Array");
const ARRAY_TYPES: ReadonlyMap<string, ArrayType> = new Map([
  ["b1", arrayType(Uint8Array, "Uint8Array")],
  ["i1", arrayType(Int8Array, "Int8Array")],
  ["u1", arrayType(Uint8Array, "Uint8Array", "Uint8ClampedArray")],
  ["i2", arrayType(Int16Array, "Int16Array")],
  ["u2", arrayType(Uint16Array, "Uint16Array")],
  ["i4", arrayType(Int32Array, "Int32Array")],
  ["u4", arrayType(Uint32Array, "Uint32Array")],
  ["i8", arrayType(BigInt64Array, "BigInt64Array")],
  ["u8", arrayType(BigUint64Array, "BigUint64Array")],
  ["f2", arrayType(float16Array ?? Float32Array, "Float32Array", "Float16Array")],
  ["f4", arrayType(Float32Array, "Float32Array")],
  ["f8", arrayType(Float64Array, "Float64Array")],
  ["c8", arrayType(Float32Array, "Float32Array")],
  ["c16", arrayType(Float64Array, "Float64Array")],
]);

function arrayType(type: NumericArrayType, ...names: string[]): ArrayType {
  return {
    type,
    tags: names.map((name) => `[object ${name}]`),
    needs: `a ${names.join(" or ")}`,
  };
}
