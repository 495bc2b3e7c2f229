import { isPartdError } from "@partd/core";
import { encodeList } from "../key/group-key.js";
import type { ByteBatch, Scan, Scanner, ScannerOptions } from "../records.js";
import { RecordError } from "./record-error.js";
import type { Fault, RecordMatcher } from "./record-matcher.js";
import { ScanTable } from "./scan-table.js";

/** A scanner in plain JavaScript: where there is no WebAssembly, and for batches too large for it. */
export class PlainScanner implements Scanner {
  readonly #table = new ScanTable();
  readonly #matcher: RecordMatcher;
  readonly #fields: number;
  readonly #onReject: ScannerOptions["onReject"];
  #isMissing = false;

  constructor(matcher: RecordMatcher, fields: number, options: ScannerOptions = {}) {
    this.#matcher = matcher;
    this.#fields = fields;
    this.#onReject = options.onReject;
  }

  scan(batch: ByteBatch): Scan {
    const { bytes } = batch;
    const table = this.#table;
    const matcher = this.#matcher;
    table.clear();
    table.bytes = bytes;
    let kept = 0;
    for (let start = 0; start < bytes.length; ) {
      const end = matcher.next(bytes, start);
      let error: RecordError | undefined;
      if (!matcher.isBlank) {
        error = matcher.fault && RecordError.at(batch.position, bytes, start, matcher.fault);
        error ??= this.#addRecord(batch, start, kept + end - start);
      }
      if (error) {
        if (!this.#onReject) throw error;
        this.#onReject({ bytes: bytes.slice(start, end), error });
      }
      if (matcher.isBlank || error) {
        // Records stand without gaps: those behind a gap move, in a copy.
        if (table.bytes === bytes) table.bytes = bytes.slice();
      } else {
        if (table.bytes !== bytes) table.bytes.set(bytes.subarray(start, end), kept);
        kept += end - start;
      }
      start = end;
    }
    table.bytes = table.bytes.subarray(0, kept);
    return table;
  }

  /** Adds the record unless it has no usable key. */
  #addRecord(
    { position, bytes }: ByteBatch,
    start: number,
    keptEnd: number,
  ): RecordError | undefined {
    if (this.#fields === 0) {
      this.#table.addEnd(keptEnd);
      return undefined;
    }
    let field = 0;
    try {
      this.#isMissing = false;
      let key: Uint8Array;
      if (this.#fields === 1) {
        key = this.#key(0);
      } else {
        const items: Uint8Array[] = [];
        for (; field < this.#fields; field++) items.push(this.#key(field));
        key = encodeList(items);
      }
      this.#table.add(keptEnd, key, this.#isMissing);
      return undefined;
    } catch (cause) {
      if (!isPartdError(cause, "ERR_PARTD_KEY")) throw cause;
      const fault: Fault = {
        offset: this.#matcher.keyOffset(field),
        what: "has an object where its key should be",
      };
      return RecordError.at(position, bytes, start, fault, "ERR_PARTD_KEY", cause);
    }
  }

  #key(field: number): Uint8Array {
    const key = this.#matcher.key(field);
    this.#isMissing ||= key[0] === 0;
    return key;
  }
}
