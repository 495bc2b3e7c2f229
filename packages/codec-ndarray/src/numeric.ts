import { lengthOf, viewOf } from "@partd/core/author";
import type { Dtype } from "./dtype.js";

/** A typed array. If the runtime has `Float16Array`, also one of these. */
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
interface NumericArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): NumericArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumericArray;
}

/** The runtime's own `Float16Array`, since Node 24 and the browsers of 2025. */
const float16Array = (globalThis as { Float16Array?: NumericArrayType }).Float16Array;

/** The typed array that holds the items of a dtype. */
interface ArrayType {
  readonly type: NumericArrayType;
  /** Classes that may be written under the dtype. */
  readonly classes: readonly string[];
  readonly needs: string;
}

/** The dtype (NumPy's letter and size) that a bare typed array is written under, by its class. */
export const DTYPE_OF_CLASS: ReadonlyMap<string | undefined, string> = new Map([
  ["Int8Array", "i1"],
  ["Uint8Array", "u1"],
  ["Uint8ClampedArray", "u1"],
  ["Int16Array", "i2"],
  ["Uint16Array", "u2"],
  ["Int32Array", "i4"],
  ["Uint32Array", "u4"],
  ["BigInt64Array", "i8"],
  ["BigUint64Array", "u8"],
  ["Float16Array", "f2"],
  ["Float32Array", "f4"],
  ["Float64Array", "f8"],
]);

/** `undefined` for objects. */
export function arrayTypeOf({ kind, type }: Dtype): ArrayType | undefined {
  return ARRAY_TYPES.get(STORED_AS.get(kind) ?? type);
}

/** Dates count units. An item of S and V consists of bytes, one of U of code points. */
const STORED_AS: ReadonlyMap<string, string> = new Map([
  ["M", "i8"],
  ["m", "i8"],
  ["S", "u1"],
  ["V", "u1"],
  ["U", "u4"],
]);

/**
 * The bytes of `data` under `dtype`: a view, or a copy if the dtype or byte order needs a
 * conversion.
 */
export function numbersToBytes(data: NumericArray, dtype: Dtype): Uint8Array {
  if (dtype.type === "f16") return toLongDoubles(data as Float64Array);
  const halves = dtype.type === "f2" && data instanceof Float32Array ? toFloat16(data) : data;
  const bytes = viewOf(halves);
  return dtype.swapped ? swapWords(bytes.slice(), dtype.wordSize) : bytes;
}

/** The numbers in whole items: a view if byte order and alignment allow it, else a copy. */
export function bytesToNumbers(bytes: Uint8Array, dtype: Dtype): NumericArray {
  if (dtype.type === "f16") return fromLongDoubles(bytes);
  const half = dtype.type === "f2" && float16Array === undefined;
  const { type } = half ? HALVES : (arrayTypeOf(dtype) as ArrayType);
  const width = type.BYTES_PER_ELEMENT;
  const whole = dtype.swapped || bytes.byteOffset % width !== 0 ? new Uint8Array(bytes) : bytes;
  if (dtype.swapped) swapWords(whole, dtype.wordSize);
  const numbers = new type(whole.buffer, whole.byteOffset, whole.byteLength / width);
  return half ? fromFloat16(numbers as Uint16Array) : numbers;
}

/**
 * Reads the 80-bit numbers of x86-64, 16 bytes each: a sign, 15 bits of exponent, 64 of fraction.
 */
function fromLongDoubles(bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.byteLength / 16 }, (_, i) => {
    const fraction = view.getBigUint64(i * 16, true);
    const head = view.getUint16(i * 16 + 8, true);
    const sign = head & 0x8000 ? -1 : 1;
    const exponent = head & 0x7fff;
    if (exponent === 0x7fff)
      return (fraction << 1n) & 0xffff_ffff_ffff_ffffn ? Number.NaN : sign * Infinity;
    // In two steps: the power of two alone may exceed a double.
    const power = exponent - 16_383 - 63;
    const half = Math.trunc(power / 2);
    return sign * Number(fraction) * 2 ** half * 2 ** (power - half);
  });
}

/** Writes doubles as 80-bit numbers, all of them exactly. */
function toLongDoubles(numbers: Float64Array): Uint8Array {
  const bytes = new Uint8Array(lengthOf.call(numbers) * 16);
  const view = new DataView(bytes.buffer);
  const double = new DataView(new ArrayBuffer(8));
  for (const [i, number] of numbers.entries()) {
    double.setFloat64(0, number);
    const bits = double.getBigUint64(0);
    const sign = bits >> 63n ? 0x8000 : 0;
    let exponent = Number((bits >> 52n) & 0x7ffn);
    let fraction = bits & 0xf_ffff_ffff_ffffn;
    if (exponent === 0x7ff) exponent = 0x7fff;
    else if (exponent > 0) exponent += 16_383 - 1023;
    else if (fraction > 0n) {
      exponent = 16_383 - 1022;
      while (fraction < 1n << 52n) {
        fraction <<= 1n;
        exponent--;
      }
    }
    const whole = exponent > 0 ? (1n << 63n) | ((fraction & 0xf_ffff_ffff_ffffn) << 11n) : 0n;
    view.setBigUint64(i * 16, whole, true);
    view.setUint16(i * 16 + 8, sign | exponent, true);
  }
  return bytes;
}

/** Reverses the bytes of each word of `size` bytes, in place. */
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
  ["f16", arrayType(Float64Array, "Float64Array")],
  ["c8", arrayType(Float32Array, "Float32Array")],
  ["c16", arrayType(Float64Array, "Float64Array")],
]);

function arrayType(type: NumericArrayType, ...names: string[]): ArrayType {
  return {
    type,
    classes: names,
    needs: `a ${names.join(" or ")}`,
  };
}

/** Converts IEEE 754 halves, given as bits, to floats of the same values. */
function fromFloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] as number;
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) bits[i] = sign | 0x7f800000 | (fraction << 13);
    else if (exponent > 0) bits[i] = sign | ((exponent + 112) << 23) | (fraction << 13);
    else if (fraction === 0) bits[i] = sign;
    else {
      // A subnormal half is a normal float: shift its highest bit in front of the point.
      const shift = Math.clz32(fraction) - 21;
      bits[i] = sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
    }
  }
  return new Float32Array(bits.buffer);
}

/** Converts floats to the bits of the nearest halves, ties to even, as NumPy does. */
function toFloat16(numbers: Float32Array): Uint16Array {
  const bits = new Uint32Array(numbers.slice().buffer);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] as number;
    const sign = (word >>> 16) & 0x8000;
    const exponent = (word >>> 23) & 0xff;
    const fraction = word & 0x7fffff;
    if (exponent === 0xff) {
      // Keep a NaN one, even if its highest fraction bits are 0.
      halves[i] =
        sign | 0x7c00 | (fraction === 0 ? 0 : (fraction >>> 13) | (fraction >>> 13 === 0 ? 1 : 0));
    } else if (exponent >= 143) {
      halves[i] = sign | 0x7c00;
    } else if (exponent >= 113) {
      halves[i] = sign + roundShift(((exponent - 112) << 23) | fraction, 13);
    } else if (exponent >= 102) {
      halves[i] = sign + roundShift(0x800000 | fraction, 126 - exponent);
    } else {
      halves[i] = sign;
    }
  }
  return halves;
}

/**
 * Shifts right, rounding to the nearest, ties to even. A carry out of the fraction correctly goes
 * into the exponent, up to infinity.
 */
function roundShift(value: number, shift: number): number {
  const floor = value >>> shift;
  const rest = value - floor * 2 ** shift;
  const half = 2 ** (shift - 1);
  return rest > half || (rest === half && (floor & 1) === 1) ? floor + 1 : floor;
}
