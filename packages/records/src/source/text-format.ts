import type { ByteBatch, FormatDescription, OnReject, RecordFormat } from "../records.js";
import type { RecordCutter } from "./cut-batches.js";

/** A format of lines or rows, with what its reader needs. */
export interface TextFormat<R> extends RecordFormat<R> {
  /** Whether every newline ends a record. */
  readonly endsAtNewline: boolean;
  /** Makes a cutter for one input. */
  cutter(): RecordCutter;
  /**
   * Guesses where the first record begins in bytes that may start anywhere in a file; -1 if it cannot.
   * `undefined` if every newline ends a record.
   */
  guessStart?(bytes: Uint8Array): number;
  /** Reads what precedes an input's records, and returns its length. */
  preamble(batch: ByteBatch): number;
  /** Parses the records of a batch. @throws `ERR_PARTD_CORRUPT` for a malformed one, unless there is `onReject`. */
  parseBatch(batch: ByteBatch, onReject: OnReject | undefined): Iterable<R>;
  /** The format as plain data. Of CSV it is known after the first batch. */
  describe(): FormatDescription;
}
