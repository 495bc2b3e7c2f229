import { PartdError } from "@partd/core";
import { classOf } from "@partd/core/author";
import { type Dtype, fieldsOf, parseDtype } from "./dtype.js";
import { arrayTypeOf, bytesToNumbers, type NumericArray } from "./numeric.js";

/**
 * An array of a dtype without a JavaScript array type: the numbers, and the dtype that gives them their
 * meaning. {@link ndarray} makes one, and so does reading such an array.
 */
export class DtypeArray<A extends NumericArray = NumericArray> {
  /**
   * - bool: a `Uint8Array` of 0 and 1
   * - float16: a `Float16Array` if the runtime has it, else a `Float32Array` of the same numbers
   * - complex64, complex128: a `Float32Array` or `Float64Array` of alternating real and imaginary
   *   parts
   * - datetime64, timedelta64: a `BigInt64Array` in {@link unit}s, dates since 1970; -2^63 is
   *   NumPy's NaT
   * - longdouble (`<f16`): a `Float64Array` of the nearest numbers, which are written exactly
   * - S, V and records: a `Uint8Array` of the items end to end, see {@link items} and {@link field}
   * - U: a `Uint32Array` of code points, each item padded with 0
   */
  readonly data: A;
  readonly #dtype: Dtype;

  /** @internal Use {@link ndarray}. */
  constructor(dtype: Dtype, data: A) {
    this.#dtype = dtype;
    this.data = data;
  }

  /** The dtype as NumPy writes it: `"<M8[ns]"`, `"|b1"`, `"<c16"`. */
  get dtype(): string {
    return this.#dtype.text;
  }

  /** The unit of dates and durations: `"ns"`, `"D"`, `"25s"`. */
  get unit(): string | undefined {
    return this.#dtype.unit;
  }

  /** The number of items; a complex number is one. */
  get length(): number {
    return this.data.length / widthOf(this.#dtype);
  }

  /**
   * The items of S and V as bytes, those of U as strings, without trailing zeros except for V, as
   * in NumPy.
   *
   * @throws `ERR_PARTD_VALUE` for other dtypes; `ERR_PARTD_CODEC` for a value that is not a code
   *   point.
   */
  items(): (Uint8Array | string)[] {
    const width = widthOf(this.#dtype);
    const { kind } = this.#dtype;
    if (kind !== "S" && kind !== "U" && kind !== "V") {
      throw new PartdError("ERR_PARTD_VALUE", `Items of ${this.dtype} are in data.`);
    }
    return Array.from({ length: this.length }, (_, i) => {
      let end = (i + 1) * width;
      if (kind !== "V") while (end > i * width && this.data[end - 1] === 0) end--;
      const item = this.data.subarray(i * width, end);
      return kind === "U" ? textOf(item as Uint32Array) : (item as Uint8Array).slice();
    });
  }

  /**
   * A copy of one field of all items, for a record dtype such as `[('a', '<i4'), ('b', '|S3')]`.
   *
   * @throws `ERR_PARTD_VALUE` if there is no such field.
   */
  field(name: string): NumericArray | DtypeArray {
    const field = fieldsOf(this.dtype).find((one) => one.name === name);
    if (field === undefined) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `${this.dtype} has no field ${JSON.stringify(name)}.`,
      );
    }
    const { dtype, offset } = field;
    const { itemSize } = this.#dtype;
    const bytes = new Uint8Array(this.length * dtype.itemSize);
    for (let i = 0; i < this.length; i++) {
      const start = i * itemSize + offset;
      bytes.set(
        (this.data as Uint8Array).subarray(start, start + dtype.itemSize),
        i * dtype.itemSize,
      );
    }
    const numbers = bytesToNumbers(bytes, dtype);
    return isPlain(dtype) ? numbers : new DtypeArray(hostOrder(dtype), numbers);
  }
}

/**
 * Gives an array the dtype that it is written under, as in `ndarray("datetime64[ns]", bigints)`.
 *
 * @param dtype NumPy's short form or name: `"bool"`, `"float16"`, `"complex64"`,
 *   `"timedelta64[s]"`, or `">f8"` to store numbers in big-endian order.
 * @param data an array of the type that {@link DtypeArray.data} names.
 * @throws `ERR_PARTD_CODEC` for an unknown dtype or another array type.
 */
export function ndarray<A extends NumericArray>(dtype: string, data: A): DtypeArray<A> {
  const parsed = parseDtype(dtype);
  const fits = arrayTypeOf(parsed)?.classes.includes(classOf.call(data) ?? "");
  if (!fits || data.length % widthOf(parsed) !== 0) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `The dtype ${parsed.text} needs ${arrayTypeOf(parsed)?.needs ?? "a plain array, without ndarray()"}.`,
    );
  }
  return new DtypeArray(parsed, data);
}

/** Whether the array type alone determines the dtype. */
export function isPlain({ type }: Dtype): boolean {
  return PLAIN.has(type);
}

const PLAIN = new Set(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]);

export function hostOrder(dtype: Dtype): Dtype {
  return dtype.swapped ? parseDtype(dtype.type) : dtype;
}

/** The number of array elements in an item. */
function widthOf({ kind, itemSize }: Dtype): number {
  if (kind === "c") return 2;
  if (kind === "U") return itemSize / 4;
  return kind === "S" || kind === "V" ? itemSize : 1;
}

/** @throws `ERR_PARTD_CODEC` for a number that is not a code point. */
function textOf(codes: Uint32Array): string {
  let text = "";
  for (const code of codes) {
    if (code > 0x10ffff) {
      throw new PartdError("ERR_PARTD_CODEC", `0x${code.toString(16)} is not a character.`);
    }
    text += String.fromCodePoint(code);
  }
  return text;
}
