import { encodeGroupKey } from "@partd/records";
import { type By, fieldsOf, keyFunction } from "./by.js";
import type { Keyer } from "./input.js";
import type { KeyColumns } from "./key-columns.js";
import { scanAll } from "./records-input.js";

/** Keys by which records are grouped. */
export class GroupKeyer<R> implements Keyer<R> {
  /** The fields that make the key, unless a function does. */
  readonly fields: readonly string[] | undefined;
  readonly scan: Keyer<R>["scan"];
  readonly #key: (record: R) => unknown;

  constructor(by: By<R>) {
    const fields = fieldsOf(by);
    this.fields = fields;
    this.scan = fields && ((records, signal) => scanAll(records, fields, signal));
    this.#key = keyFunction(by);
  }

  writeKey(record: R, columns: KeyColumns): void {
    const key = this.#key(record);
    if (typeof key === "string" || (typeof key === "number" && Number.isFinite(key))) {
      columns.addText(JSON.stringify(key));
    } else {
      columns.addKey(encodeGroupKey(key));
    }
  }
}
