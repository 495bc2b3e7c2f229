import type { ByteBatch, FormatDescription, OnReject, RecordFormat } from "../records.js";
import type { RecordCutter } from "./cut-batches.js";

/** A format of lines or rows, with what its reader needs. */
export interface TextFormat<R> extends RecordFormat<R> {
  /** Whether every newline ends a record. */
  readonly endsAtNewline: boolean;
  cutter(): RecordCutter;
  /**
   * Guesses where the first record begins in bytes that may start anywhere in a file; -1 if it cannot.
   * `undefined` if every newline ends a record.
   */
  guessStart?(bytes: Uint8Array): number;
  /** Reads what precedes an input's records, and returns its length. */
  preamble(batch: ByteBatch): number;
  parseBatch(batch: ByteBatch, onReject: OnReject | undefined): Iterable<R>;
  /** Known after the first batch. */
  describe(): FormatDescription;
}
