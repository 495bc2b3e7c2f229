import { UsageError } from "../command/failure.js";
import { rawFields, rowOf } from "./csv-row.js";
import { FieldPath } from "./field-path.js";
import { delimiterOf } from "./format.js";
import { withoutMembers } from "./json-members.js";
import type { Reader } from "./reader.js";

/** Leaves fields out of records; the rest stays byte for byte. */
export class WithoutFields {
  readonly header: string | undefined;
  readonly #names: ReadonlySet<string>;
  readonly #delimiter: string | undefined;
  /** Columns that stay. */
  readonly #kept: readonly number[];

  /** @throws `UsageError` for a field within an object: only a record's own can be left out. */
  constructor(reader: Reader, fields: readonly string[]) {
    this.#delimiter = delimiterOf(reader.format);
    const names = fields.map((field) => {
      if (reader.columns.includes(field)) return field;
      const { own } = new FieldPath(field);
      if (own === undefined)
        throw new UsageError(`--drop-key cannot take ${field} out of an object`);
      return own;
    });
    this.#names = new Set(names);
    this.#kept = [...reader.columns.keys()].filter(
      (i) => !this.#names.has(reader.columns[i] as string),
    );
    this.header = reader.header === undefined ? undefined : this.of(reader.header);
  }

  /** @param text a character a byte. */
  of(text: string): string {
    if (this.#delimiter === undefined) {
      return Buffer.from(withoutMembers(Buffer.from(text, "latin1"), this.#names)).toString(
        "latin1",
      );
    }
    const fields = rawFields(text, this.#delimiter);
    return rowOf(
      this.#kept.map((i) => fields[i] as string),
      this.#delimiter,
      text,
    );
  }
}
