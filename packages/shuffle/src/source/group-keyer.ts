import { type By, fieldsOf, keyFunction } from "./by.js";
import type { Keyer } from "./input.js";
import { encodeGroupKey } from "./key.js";
import type { KeyColumns } from "./key-columns.js";

/** Keys by which records are grouped. */
export class GroupKeyer<R> implements Keyer<R> {
  readonly fields: readonly string[] | undefined;
  readonly #key: (record: R) => unknown;

  constructor(by: By<R>) {
    this.fields = fieldsOf(by);
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
