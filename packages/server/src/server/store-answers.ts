import { PartdError } from "@partd/core";
import { describeArgument, isBytes } from "@partd/core/author";

// What a store returns is checked before it is written. A wrong answer then fails one request: sent on,
// it would end the connection with all the others, or send memory that the value does not fill.

/** @throws `ERR_PARTD_IO` unless there is a byte string for each key. */
export function checkValues(
  name: "get" | "pop",
  values: readonly Uint8Array[],
  count: number,
): readonly Uint8Array[] {
  checkList(name, values, count);
  for (const value of values) if (!isBytes(value)) throw wrong(name, "Uint8Arrays", value);
  return values;
}

/** @throws `ERR_PARTD_IO` unless it is a byte string. */
export function checkPiece(piece: Uint8Array): Uint8Array {
  if (isBytes(piece)) return piece;
  throw wrong("stream", "Uint8Arrays", piece);
}

/** @throws `ERR_PARTD_IO` unless there is a count of bytes, or of keys, for each. */
export function checkCounts(
  name: "sizes" | "count",
  counts: readonly number[],
  asked: number,
): readonly number[] {
  checkList(name, counts, asked);
  for (const count of counts) {
    if (!Number.isSafeInteger(count) || count < 0) throw wrong(name, "integers from 0 on", count);
  }
  return counts;
}

function checkList(name: string, list: readonly unknown[], count: number): void {
  const due = `one answer for each of ${count} keys`;
  if (!Array.isArray(list)) throw wrong(name, due, list);
  if (list.length !== count) throw wrong(name, due, list.length);
}

function wrong(name: string, due: string, given: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_IO",
    `${name} of the served store has to return ${due}, and returned ${describeArgument(given)}.`,
  );
}
