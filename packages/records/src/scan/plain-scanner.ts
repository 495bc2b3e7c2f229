import type { ByteBatch, OnReject, Scan, Scanner } from "../records.js";
import type { RecordMatcher, ScanPlan } from "./record-matcher.js";
import { RecordReader } from "./record-reader.js";
import { ScanTable } from "./scan-table.js";

/**
 * A scanner in plain JavaScript, for runtimes without WebAssembly and for batches too large for it.
 */
export class PlainScanner implements Scanner {
  readonly #table: ScanTable;
  readonly #reader: RecordReader;
  readonly #onReject: OnReject | undefined;

  constructor(matcher: RecordMatcher, { keys, values, onReject }: ScanPlan) {
    this.#table = new ScanTable(keys, values);
    this.#reader = new RecordReader(matcher, keys, values);
    this.#onReject = onReject;
  }

  scan(batch: ByteBatch): Scan {
    const { bytes } = batch;
    const table = this.#table;
    const reader = this.#reader;
    table.clear(bytes);
    let kept = 0;
    for (let start = 0; start < bytes.length; ) {
      const end = reader.read(batch, start);
      const { error } = reader;
      if (error) {
        if (!this.#onReject) throw error;
        this.#onReject({ bytes: new Uint8Array(bytes.subarray(start, end)), error });
      }
      if (reader.isBlank || error) {
        // Records have no gaps: move those behind a gap, in a copy.
        if (table.bytes === bytes) table.bytes = new Uint8Array(bytes);
      } else {
        if (table.bytes !== bytes) table.bytes.set(bytes.subarray(start, end), kept);
        kept += end - start;
        table.add(kept, reader);
      }
      start = end;
    }
    table.bytes = table.bytes.subarray(0, kept);
    return table;
  }
}
