import { type ByteBatch, encodeGroupKey, type Scan } from "@partd/records";
import { type By, fieldsOf, keyFunction } from "./by.js";
import type { Keyer } from "./input.js";
import type { KeyColumns } from "./key-columns.js";
import { selected } from "./keyed-batch.js";
import { lackingKey, type Missing, type MissingOption, missingOf, presentIn } from "./missing.js";
import { scanAll } from "./records-input.js";

/** Keys by which records are grouped. */
export class GroupKeyer<R> implements Keyer<R> {
  /** The fields that make the key, unless a function does. */
  readonly fields: readonly string[] | undefined;
  readonly scan: Keyer<R>["scan"];
  readonly #key: (record: R) => unknown;

  readonly missing: Missing;

  constructor(by: By<R>, options: MissingOption = {}) {
    const fields = fieldsOf(by);
    const missing = missingOf(options);
    this.fields = fields;
    this.missing = missing;
    this.scan = fields && ((records, signal) => scanAll(records, fields, signal, present));
    this.#key = keyFunction(by);
    const present = (scan: Scan, batch: ByteBatch) => {
      const indices = presentIn(scan, batch, fields!, missing);
      return indices ? selected(scan, indices) : scan;
    };
  }

  writeKey(record: R, columns: KeyColumns, bytes: () => Uint8Array): boolean {
    const key = this.#key(record);
    if (this.missing !== "keep" && isMissing(key)) {
      if (this.missing === "error") throw lackingKey(this.fields);
      if (this.missing !== "skip") this.missing(bytes());
      return false;
    }
    if (typeof key === "string" || (typeof key === "number" && Number.isFinite(key))) {
      columns.addText(JSON.stringify(key));
    } else {
      columns.addKey(encodeGroupKey(key));
    }
    return true;
  }
}

function isMissing(key: unknown): boolean {
  return key === undefined || (Array.isArray(key) && key.includes(undefined));
}
