/** The position of the first byte that is not UTF-8, or `end`. */
export function firstInvalidUtf8(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; ) {
    const length = sequenceLength(bytes, at, end);
    if (length === 0) return at;
    at += length;
  }
  return end;
}

/** The length of the character at `at` (Unicode 16, table 3-7); 0 if it is not UTF-8. */
function sequenceLength(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const second = at + 1 < end ? bytes[at + 1]! : 0;
  const isTail = (i: number) => at + i < end && (bytes[at + i]! & 0xc0) === 0x80;
  if (first >= 0xc2 && first <= 0xdf) return isTail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const low = first === 0xe0 ? 0xa0 : 0x80;
    const high = first === 0xed ? 0x9f : 0xbf;
    return second >= low && second <= high && isTail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const low = first === 0xf0 ? 0x90 : 0x80;
    const high = first === 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high && isTail(2) && isTail(3) ? 4 : 0;
  }
  return 0;
}

/**
 * Buffer's own, applied to any array of bytes: `TextDecoder` takes three times as long for short
 * text.
 */
export const { utf8Slice } = Buffer.prototype as unknown as {
  utf8Slice(this: Uint8Array, start: number, end: number): string;
};
