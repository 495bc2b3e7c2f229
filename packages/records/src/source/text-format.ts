import type { ByteBatch, FormatDescription, OnReject, RecordFormat } from "../records.js";
import type { RecordCutter } from "./cut-batches.js";

/** What a format of lines or rows tells its reader. */
export interface TextFormat<R> extends RecordFormat<R> {
  /** Whether every newline ends a record. */
  readonly endsAtNewline: boolean;
  cutter(): RecordCutter;
  /** Reads what stands before an input's records, and returns its length. */
  preamble(batch: ByteBatch): number;
  parseBatch(batch: ByteBatch, onReject: OnReject | undefined): Iterable<R>;
  /** Known once a batch came. */
  describe(): FormatDescription;
}
