import { PartdError } from "@partd/core";
import { nearest } from "@partd/core/author";
import {
  openPart,
  parseFieldPath,
  type Records,
  type RecordsPart,
  type Scan,
  VALUE_KIND,
  valueAt,
} from "@partd/records";
import { batchOptions, type Reading } from "../run/record-limit.js";

/**
 * Checks that each field of a key occurs in some record. A field that never occurs is probably
 * mistyped, which would silently make one group of all records, or match nothing.
 */
export class FieldWatch {
  readonly #fields: readonly string[];
  readonly #where: string;
  readonly #advice: string;
  /** Fields that no record has had so far. */
  #unseen: readonly string[];
  #records = 0;
  readonly #names = new Set<string>();
  #areLists = false;
  /** Whether the records are rows of CSV. */
  #areRows = false;

  /**
   * @param where on which side of a join the records are, for the message: `" on the right"`, or `""`.
   * @param advice what to do if the records are meant to lack the field.
   */
  constructor(fields: readonly string[], where: string, advice: string) {
    this.#fields = fields;
    this.#where = where;
    this.#unseen = fields;
    this.#advice = advice;
  }

  /**
   * Checks the records of a scan for the fields.
   *
   * @throws `ERR_PARTD_VALUE` at once for rows without such a column.
   */
  scanned(scan: Scan, records: Records<unknown>): void {
    if (this.#unseen.length === 0 || scan.count === 0) return;
    for (let i = 0; i < scan.count && this.#unseen.length > 0; i++) this.#scanned(scan, i);
    this.#lookedAt(scan, records);
  }

  /**
   * The same if the fields are values of the scan.
   *
   * @param values all values that were asked for.
   */
  scannedValues(scan: Scan, values: readonly string[], records: Records<unknown>): void {
    if (this.#unseen.length === 0 || scan.count === 0) return;
    this.#found((field) => {
      const kinds = scan.kinds(values.indexOf(field));
      for (let i = 0; i < scan.count; i++) if (kinds[i] !== VALUE_KIND.missing) return true;
      return false;
    });
    this.#lookedAt(scan, records);
  }

  #lookedAt(scan: Scan, { format }: Records<unknown>): void {
    this.#records += scan.count;
    if (this.#unseen.length === 0) return;
    for (let i = 0; i < scan.count && this.#names.size < MOST_NAMES; i++) {
      this.#learn(format.parse(scan.bytes, i === 0 ? 0 : scan.ends[i - 1]!, scan.ends[i]!));
    }
    this.#areRows = format.header !== undefined;
    if (this.#areRows) this.end();
  }

  /** Whether the first records of a part have the fields: then threads may read without checking. */
  async isSettledBy(part: RecordsPart, reading: Reading): Promise<boolean> {
    const records = openPart(part);
    const scanner = records.format.scanner([], { values: this.#fields });
    for await (const batch of records.batches(batchOptions(reading))) {
      this.scannedValues(scanner.scan(batch), this.#fields, records);
      break;
    }
    return this.#unseen.length === 0;
  }

  #scanned(scan: Scan, i: number): void {
    if (!scan.missing(i)) this.#unseen = [];
    else if (this.#fields.length > 1) {
      const values = scan.key(i) as readonly unknown[];
      this.#found((field) => values[this.#fields.indexOf(field)] !== undefined);
    }
  }

  /** Checks one parsed record. */
  parsed(record: unknown): void {
    if (this.#unseen.length === 0) return;
    this.#records++;
    this.#found((field) => hasField(record, field));
    if (this.#unseen.length > 0 && this.#names.size < MOST_NAMES) this.#learn(record);
  }

  #found(has: (field: string) => boolean): void {
    this.#unseen = this.#unseen.filter((field) => !has(field));
  }

  #learn(record: unknown): void {
    if (typeof record !== "object" || record === null) return;
    this.#areLists = Array.isArray(record);
    if (this.#areLists) return;
    for (const name of Object.keys(record)) {
      if (this.#names.size < MOST_NAMES) this.#names.add(name.replaceAll(".", "\\."));
    }
  }

  /** Call this after all records. @throws `ERR_PARTD_VALUE` for a field that none of them has. */
  end(): void {
    const [field] = this.#unseen;
    if (field === undefined || this.#records === 0) return;
    const names = [...this.#names];
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `No record${this.#where} has the field ${JSON.stringify(field)}. ${this.#hint(field, names)} ${this.#advice}`,
    );
  }

  #hint(field: string, names: readonly string[]): string {
    const [only] = names;
    if (only === undefined) {
      return this.#areLists
        ? "They are lists: readJson reads a file that is one JSON array."
        : "They have no fields.";
    }
    const delimiter = names.length === 1 && this.#areRows ? /[;\t|]/.exec(only)?.[0] : undefined;
    if (delimiter !== undefined) {
      return `They have one, ${only}: if the delimiter is no comma, read them with { delimiter: ${JSON.stringify(delimiter)} }.`;
    }
    const near = nearest(field, names);
    if (near !== undefined) return `Did you mean ${near}?`;
    return `They have ${names.slice(0, 12).join(", ")}${names.length > 12 ? " …" : ""}.`;
  }
}

/** How many names of fields are remembered for the message. */
const MOST_NAMES = 1000;

/** Whether a record has a field, which may be `undefined`. */
function hasField(record: unknown, field: string): boolean {
  if (valueAt(record, field) !== undefined) return true;
  const path = parseFieldPath(field);
  const name = path[path.length - 1]!;
  const holder = path
    .slice(0, -1)
    .reduce((value, step) => valueAt(value, step.replaceAll(".", "\\.")), record);
  const isObject = typeof holder === "object" && holder !== null && !Array.isArray(holder);
  return isObject && Object.hasOwn(holder, name);
}
