import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UsageError } from "../command/failure.js";

/**
 * What is written to a file that exists before the first record that is added: the header if it is empty, the end
 * of its last line if that has none, else nothing.
 *
 * @throws `UsageError` where the file begins with another header.
 */
export function appendStart(path: string, header: Uint8Array | undefined): Uint8Array | undefined {
  const names = Buffer.from(header ?? [])
    .toString()
    .trimEnd();
  const { beginning, last } = endsOf(path, Buffer.byteLength(names) + LONGER);
  if (last === undefined) return header;
  const found = beginning.toString().replace(/^\uFEFF/, "");
  const isSame = found.startsWith(names) && /^(?:\r?\n|\r?$)/.test(found.slice(names.length));
  if (header !== undefined && !isSame) {
    const [columns = ""] = found.split(/\r?\n/, 1);
    throw new UsageError(
      `${path} begins with ${columns}, and the records have ${names}: --append takes records of the same columns`,
    );
  }
  return last === LF ? undefined : Buffer.of(LF);
}

/** The first bytes of a file, at most `length`, and the last one; none of an empty one. */
function endsOf(path: string, length: number): { beginning: Buffer; last: number | undefined } {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const beginning = Buffer.alloc(Math.min(size, length));
    readSync(file, beginning, 0, beginning.byteLength, 0);
    const last = Buffer.alloc(Math.min(size, 1));
    readSync(file, last, 0, last.byteLength, size - last.byteLength);
    return { beginning, last: last[0] };
  } finally {
    closeSync(file);
  }
}

const LF = 0x0a;

/** Bytes of a byte order mark and a line's end, with some to show. */
const LONGER = 32;
