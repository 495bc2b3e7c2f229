/** Converts IEEE 754 halves, given as bits, to floats of the same values. */
export function fromFloat16(halves: Uint16Array): Float32Array {
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
export function toFloat16(numbers: Float32Array): Uint16Array {
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
