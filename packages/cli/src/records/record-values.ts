import { parseFieldPath, type RecordFormat, valueAt } from "@partd/records";
import { rawValue } from "@partd/records/author";

/** The values of records that are their own text. */
export class RecordValues {
  readonly #format: RecordFormat<unknown>;
  readonly #isText: boolean;
  #current: { text: string; record: unknown } | undefined;

  constructor(format: RecordFormat<unknown>) {
    this.#format = format;
    this.#isText = format.name === "csv";
  }

  /** Parses a record, to an object or any other JSON value. */
  object(text: string): unknown {
    if (this.#current?.text !== text) {
      this.#current = { text, record: this.#format.parse(Buffer.from(text, "latin1")) };
    }
    return this.#current.record;
  }

  /** The value of a field; `undefined` if the record has none. */
  value(text: string, field: string): unknown {
    const record = this.object(text);
    if (!this.#isText || Object.hasOwn(record as object, field)) {
      return this.#isText ? (record as Record<string, unknown>)[field] : valueAt(record, field);
    }
    return valueAt(record, field);
  }

  /** The JSON of a value as it is written in a JSON record. */
  json(text: string, field: string): string | undefined {
    const raw = rawValue(Buffer.from(text, "latin1"), parseFieldPath(field));
    return raw && Buffer.from(raw).toString();
  }
}
