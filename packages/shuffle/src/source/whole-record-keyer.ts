import type { Records } from "@partd/records";
import type { Keyer, Scans } from "./input.js";
import type { KeyColumns } from "./key-columns.js";
import { keyedBy, scanAll } from "./records-input.js";
import { encodeStructured } from "./structured.js";

/** The record itself as its key. */
export class WholeRecordKeyer<R> implements Keyer<R> {
  /** The record's bytes without its line ending. */
  scan(records: Records<R>, signal: AbortSignal | undefined): Scans {
    const toKeyed = keyedBy(({ bytes, ends }, i, columns) => {
      const start = i === 0 ? 0 : ends[i - 1]!;
      let end = ends[i]!;
      if (bytes[end - 1] === LF) end--;
      if (bytes[end - 1] === CR) end--;
      columns.addKey(bytes.subarray(start, end));
      return true;
    });
    return scanAll(records, [], signal, toKeyed);
  }

  writeKey(record: R, columns: KeyColumns): true {
    const encoded = encodeStructured(record);
    if (typeof encoded === "string") columns.addText(encoded);
    else columns.addKey(encoded);
    return true;
  }
}

const LF = 0x0a;
const CR = 0x0d;
