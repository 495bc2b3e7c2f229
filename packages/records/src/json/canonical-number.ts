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

const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
