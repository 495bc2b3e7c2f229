import { PartdError } from "@partd/core";
import { type Dtype, parseDtype } from "./dtype.js";
import { arrayTypeOf, type NumericArray } from "./numeric.js";

/**
 * An array of a dtype for which JavaScript has no array type of its own: the numbers, and what they
 * mean. Made by {@link ndarray}, and by reading such an array.
 */
export class DtypeArray<A extends NumericArray = NumericArray> {
  /**
   * - bool: a `Uint8Array` of 0 and 1
   * - float16: a `Float16Array` where the runtime has it, else a `Float32Array` of the same numbers
   * - complex64, complex128: a `Float32Array`, `Float64Array` of real and imaginary part by turns
   * - datetime64, timedelta64: a `BigInt64Array` that counts {@link unit}s, since 1970 for dates;
   *   -2^63 is NumPy's NaT
   */
  readonly data: A;
  readonly #dtype: Dtype;

  /** @internal Use {@link ndarray}. */
  constructor(dtype: Dtype, data: A) {
    this.#dtype = dtype;
    this.data = data;
  }

  /** As NumPy writes it: `"<M8[ns]"`, `"|b1"`, `"<c16"`. */
  get dtype(): string {
    return this.#dtype.text;
  }

  /** Of dates and durations: `"ns"`, `"D"`, `"25s"`. */
  get unit(): string | undefined {
    return this.#dtype.unit;
  }

  /** Items; a complex number is one. */
  get length(): number {
    return this.#dtype.kind === "c" ? this.data.length / 2 : this.data.length;
  }
}

/**
 * An array with a dtype to be written under, as in `ndarray("datetime64[ns]", bigints)`.
 *
 * @param dtype NumPy's short form or name: `"bool"`, `"float16"`, `"complex64"`, `"timedelta64[s]"`,
 *   or `">f8"` for numbers to be stored with the highest byte first.
 * @param data of the array type that {@link DtypeArray.data} names.
 * @throws `ERR_PARTD_CODEC` for an unknown dtype or another array type.
 */
export function ndarray<A extends NumericArray>(dtype: string, data: A): DtypeArray<A> {
  const parsed = parseDtype(dtype);
  const fits = arrayTypeOf(parsed)?.tags.includes(Object.prototype.toString.call(data));
  if (!fits || (parsed.kind === "c" && data.length % 2 !== 0)) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `The dtype ${parsed.text} needs ${arrayTypeOf(parsed)?.needs ?? "a plain array, without ndarray()"}.`,
    );
  }
  return new DtypeArray(parsed, data);
}
