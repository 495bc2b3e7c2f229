import { nearest } from "@partd/core/author";
import {
  type ByteBatch,
  parseFieldPath,
  type RecordFormat,
  type ScannerOptions,
  VALUE_KIND,
} from "@partd/records";
import { UsageError } from "../command/failure.js";
import { EMPTY_NAME } from "./names.js";

/** Looks for the requested fields in the first records, and remembers which fields there are. */
export class FieldSearch {
  readonly #format: RecordFormat<unknown>;
  readonly #input: string;
  readonly #columnsOf: () => readonly string[];
  readonly #options: ScannerOptions;
  /** Fields that no record has had so far. */
  #unseen: readonly string[];
  readonly #names = new Set<string>();
  /** Whether one of the first records is an array, as in a file whose lines are JSON arrays. */
  #haveArrays = false;
  #records = 0;

  /**
   * @param columns the names in the header of CSV, once it is known.
   * @param rejects whether malformed records are skipped here, because the later scanner reports them.
   */
  constructor(
    format: RecordFormat<unknown>,
    fields: readonly string[],
    input: string,
    columns: () => readonly string[],
    rejects: boolean,
  ) {
    this.#format = format;
    this.#options = rejects ? { onReject: () => undefined } : {};
    this.#columnsOf = columns;
    this.#unseen = fields;
    this.#input = input === "-" ? "standard input" : input;
  }

  /** Whether a field has not been found yet. */
  get isOpen(): boolean {
    return this.#unseen.length > 0;
  }

  /**
   * @param required fields that every record must have; `undefined` if no field is required.
   * @throws `UsageError` for a field that a header lacks, or that none of the first thousand records
   *   has although they have one of a similar name; for a required field at once.
   */
  look(batch: ByteBatch, required: readonly string[] | undefined): void {
    if (this.#records === 0) this.#refuseTwins();
    let count = 0;
    this.#unseen = this.#unseen.filter((field) => {
      // As a key, a number that no double holds would be refused, and the field may be no key.
      const scan = this.#format.scanner([], { ...this.#options, values: [field] }).scan(batch);
      count = scan.count;
      const kinds = scan.kinds(0);
      for (let i = 0; i < scan.count; i++) if (kinds[i] !== VALUE_KIND.missing) return false;
      return true;
    });
    this.#records += count;
    if (this.#unseen.length === 0) return;
    if (this.#format.header === undefined) this.#learnNames(batch);
    const isLacking = this.#unseen.some((field) => required?.includes(field));
    if (this.#format.header !== undefined || isLacking) this.#refuseUnknown("the first ");
    // A field may come late, but a name that is so similar was mistyped.
    else if (required !== undefined && this.#records >= FIRST_RECORDS && this.#near !== undefined) {
      this.#refuseUnknown("the first ");
    }
  }

  /** Call this after all records. @throws as {@link look} does. */
  end(): void {
    this.#refuseUnknown("");
  }

  #refuseUnknown(which: "the first " | ""): void {
    if (this.#records === 0 && this.#format.header === undefined) return;
    this.#learnColumns();
    this.#refuseTwins();
    const unknown = this.#unseen.find((field) => !this.#isColumn(field));
    if (unknown === undefined) return;
    const names = [...this.#names];
    const near = this.#near;
    const some =
      names.slice(0, 12).map(typed).map(shortened).join(", ") + (names.length > 12 ? " …" : "");
    const none = this.#haveArrays
      ? "there are arrays; --from json reads the records of an array"
      : "there are: none";
    const known = names.length === 0 ? none : `there are: ${some}`;
    const likely = near === undefined ? known : `did you mean ${typed(near)}?`;
    const hint = headerHint(this.#columns) ?? likely;
    const count = this.#records === 1 ? "record" : `${this.#records} records`;
    const first = which === "" && this.#records > 1 ? `the ${count}` : `the first ${count}`;
    const where = this.#format.header === undefined ? `${first} of ${this.#input}` : this.#input;
    throw new UsageError(`there is no field ${typed(unknown)} in ${where}; ${hint}`);
  }

  /** The name that the first unknown field was most likely meant to be. */
  get #near(): string | undefined {
    const unknown = this.#unseen.find((field) => !this.#isColumn(field));
    // A header may have a million names.
    return unknown ? nearest(unknown, [...this.#names].slice(0, MOST_NAMES)) : undefined;
  }

  /** The names in the header of CSV; none of other formats. */
  get #columns(): readonly string[] {
    return this.#format.header === undefined ? [] : this.#columnsOf();
  }

  /** @throws `UsageError` for a field whose name several columns have. */
  #refuseTwins(): void {
    const columns = this.#columns;
    for (const field of this.#unseen) {
      const name = columns.includes(field) ? field : parseFieldPath(field).join(".");
      const places = [...columns.keys()].filter((i) => columns[i] === name).map((i) => i + 1);
      if (places.length < 2) continue;
      throw new UsageError(
        `${this.#input} has ${places.length} columns named ${name} (${places.join(", ")}): give them different names to use one`,
      );
    }
  }

  #isColumn(field: string): boolean {
    if (this.#format.header === undefined) return false;
    const path = parseFieldPath(field);
    return this.#names.has(field) || (path.length === 1 && this.#names.has(path[0] as string));
  }

  #learnColumns(): void {
    for (const name of this.#columns) this.#names.add(name);
  }

  #learnNames(batch: ByteBatch): void {
    const scan = this.#format.scanner([], this.#options).scan(batch);
    let start = 0;
    for (let i = 0; i < Math.min(scan.count, 100) && this.#names.size < MOST_NAMES; i++) {
      const end = scan.ends[i] as number;
      const record = this.#format.parse(scan.bytes, start, end);
      this.#haveArrays ||= Array.isArray(record);
      collect(record, "", this.#names);
      start = end;
    }
  }
}

function collect(record: unknown, prefix: string, names: Set<string>): void {
  if (typeof record !== "object" || record === null || Array.isArray(record)) return;
  for (const [name, value] of Object.entries(record)) {
    if (names.size >= MOST_NAMES) return;
    const path = prefix + name.replaceAll(".", "\\.");
    names.add(path);
    if (prefix.length < 100) collect(value, `${path}.`, names);
  }
}

/** A name as options take it, in which a comma stands between two names. */
export function typed(name: string): string {
  return name === "" ? EMPTY_NAME : name.replaceAll(",", "\\,");
}

/** What to do about a header that other programs would read otherwise. */
export function headerHint(columns: readonly string[]): string | undefined {
  const [header = ""] = columns;
  if (/^sep=/i.test(header)) {
    return "its line sep= is for spreadsheets alone: leave it out, as tail -n +2 FILE > NEW does";
  }
  if (columns.length === 1 && header.startsWith("#")) {
    return `its header is ${shortened(header)}: if that is a comment, leave it out, as tail -n +2 FILE > NEW does`;
  }
  const other = columns.length === 1 ? /[,;|\t]/.exec(header)?.[0].replace("\t", "\\t") : undefined;
  if (other === undefined) return undefined;
  const need = other === "," ? "--from csv, or --delimiter ','" : `--delimiter '${other}'`;
  return `its header is ${shortened(header)}: does it need ${need}?`;
}

function shortened(name: string): string {
  const whole = /^\s|\s$/.test(name) ? `'${name}'` : name;
  const line = whole.replaceAll("\n", "\\n");
  return line.length > 40 ? `${line.slice(0, 39)}…` : line;
}

/**
 * After this many records without a field, it counts as mistyped if they have one of a similar name.
 */
const FIRST_RECORDS = 1000;
const MOST_NAMES = 10_000;
