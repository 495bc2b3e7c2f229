import { parseFieldPath } from "@partd/records";
import { UsageError } from "../command/failure.js";
import { columnsOf, rawFields, rowOf } from "./csv-row.js";
import { delimiterOf } from "./format.js";
import { withoutMembers } from "./json-members.js";
import type { RecordSource } from "./record-source.js";

/** Leaves fields out of records; the rest stays byte for byte. */
export class WithoutFields {
  readonly header: string | undefined;
  readonly #names: ReadonlySet<string>;
  readonly #delimiter: string | undefined;
  /** Columns that stay. */
  readonly #kept: readonly number[];

  /** @throws `UsageError` for a field within an object: only a record's own can be left out. */
  constructor(source: RecordSource, fields: readonly string[]) {
    this.#delimiter = delimiterOf(source.writtenAs);
    const header = source.format.header && Buffer.from(source.format.header).toString("latin1");
    const columns = header === undefined ? [] : columnsOf(header, this.#delimiter as string);
    const names = fields.map((field) => {
      if (columns.includes(field)) return field;
      const [own, ...rest] = parseFieldPath(field) as [string, ...string[]];
      if (rest.length > 0) throw new UsageError(`--drop-key cannot take ${field} out of an object`);
      return own;
    });
    this.#names = new Set(names);
    this.#kept = [...columns.keys()].filter((i) => !this.#names.has(columns[i] as string));
    this.header = header === undefined ? undefined : this.of(header);
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
