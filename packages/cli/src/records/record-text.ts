import type { RecordFormat, Scan } from "@partd/records";

/**
 * A format whose records are not parsed: they are their own text, in which each character is a byte.
 */
export function textFormat(
  format: RecordFormat<unknown>,
  scanner: RecordFormat<string>["scanner"],
): RecordFormat<string> {
  return {
    name: format.name,
    get header() {
      return format.header;
    },
    parse: (bytes, start = 0, end = bytes.length) => latin1Slice.call(bytes, start, end),
    serialize: (text) => Buffer.from(text, "latin1"),
    scanner,
  };
}

/** The text of record `i`, in which each character is a byte. */
export function textOf(scan: Scan, i: number): string {
  return latin1Slice.call(scan.bytes, startOf(scan, i), scan.ends[i] as number);
}

/** A copy of the bytes of record `i`. */
export function recordOf(scan: Scan, i: number): Uint8Array {
  return scan.bytes.slice(startOf(scan, i), scan.ends[i]);
}

/** Where record `i` begins. */
function startOf(scan: Scan, i: number): number {
  return i === 0 ? 0 : (scan.ends[i - 1] as number);
}

/** Buffer's own, on any array of bytes. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};
