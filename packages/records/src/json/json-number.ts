import { PartdError } from "@partd/core";

/**
 * Reads a JSON number as a key. It is what `JSON.parse` gives or, if that would be written back as
 * another integer, the integer itself: `9007199254740993` is a bigint; `9007199254740992`, `1e300` and
 * `0.1` are numbers. So equal integers are one key however they are written, unequal ones are two, and
 * `String()` of a key is its integer.
 *
 * @throws `ERR_PARTD_KEY` for a number beyond all doubles, such as `1e400`.
 */
export function parseKeyNumber(text: string): number | bigint {
  const value = Number(text);
  if (Math.abs(value) < 2 ** 53) return value;
  const written = String(value);
  if (written === text) return value;
  if (!Number.isFinite(value)) throw new PartdError("ERR_PARTD_KEY", BEYOND_DOUBLES);
  const integer = parseInteger(text);
  return integer === undefined || integer === parseInteger(written) ? value : integer;
}

/**
 * The integer that a JSON number is, even with a point or an exponent; `undefined` if it is not an
 * integer.
 *
 * @param text a number from 2^53 to the greatest double, or its negative.
 */
export function parseInteger(text: string): bigint | undefined {
  const e = text.search(/e/i);
  const mantissa = e < 0 ? text : text.slice(0, e);
  const point = mantissa.indexOf(".");
  const decimals = point < 0 ? 0 : mantissa.length - point - 1;
  const digits = mantissa.replace(".", "");
  const zeros = (e < 0 ? 0 : Number(text.slice(e + 1))) - decimals;
  if (zeros >= 0) return BigInt(digits) * 10n ** BigInt(zeros);
  return /[1-9]/.test(digits.slice(zeros)) ? undefined : BigInt(digits.slice(0, zeros));
}

const BEYOND_DOUBLES = "has a number beyond 1.8e308 where its key should be";

/**
 * Whether a JSON number is written as JavaScript writes it, so that equal numbers have equal text.
 * Returns false whenever that is not easy to see: exponents, integers from 2^53 on, more than 15
 * digits with a point. A double of up to 15 digits is written back digit by digit (DBL_DIG), and in
 * this range without an exponent.
 */
export function isCanonicalNumber(bytes: Uint8Array, start: number, end: number): boolean {
  let p = bytes[start] === MINUS ? start + 1 : start;
  const whole = p;
  let value = 0;
  while (p < end && bytes[p] !== POINT) {
    const digit = bytes[p]! - ZERO;
    if (digit < 0 || digit > 9) return false;
    value = value * 10 + digit;
    p++;
  }
  const wholeDigits = p - whole;
  if (p === end) {
    // "-0" is 0.
    return wholeDigits <= 16 && value < 2 ** 53 && (value > 0 || whole === start);
  }
  const decimals = end - p - 1;
  if (wholeDigits + decimals > 15 || decimals > 6 || bytes[end - 1] === ZERO) return false;
  for (p++; p < end; p++) if (bytes[p]! < ZERO || bytes[p]! > ZERO + 9) return false;
  return true;
}

/**
 * Whether a JSON number is an integer of 18 to 300 digits without a zero at its end. {@link parseKeyNumber}
 * gives a bigint for it, because JavaScript writes 17 digits at most. With ids of 19 digits this look halves
 * the CPU time of a scan.
 */
export function isLongInteger(bytes: Uint8Array, start: number, end: number): boolean {
  const whole = bytes[start] === MINUS ? start + 1 : start;
  if (end - whole < 18 || end - whole > 300 || bytes[end - 1] === ZERO) return false;
  for (let p = whole; p < end; p++) if (bytes[p]! < ZERO || bytes[p]! > ZERO + 9) return false;
  return true;
}

const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
