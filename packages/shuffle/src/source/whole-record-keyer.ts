import type { Keyer } from "./input.js";
import type { KeyColumns } from "./key-columns.js";
import { encodeStructured } from "./structured.js";

/** The record itself as its key. */
export class WholeRecordKeyer<R> implements Keyer<R> {
  readonly fields = "whole record";

  writeKey(record: R, columns: KeyColumns): void {
    const encoded = encodeStructured(record);
    if (typeof encoded === "string") columns.addText(encoded);
    else columns.addKey(encoded);
  }
}
