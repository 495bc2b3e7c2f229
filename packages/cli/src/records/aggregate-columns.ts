import { type Scan, VALUE_KIND } from "@partd/records";
import {
  type Aggregate,
  count,
  first,
  last,
  max,
  mean,
  min,
  sum,
  type ValueOf,
} from "@partd/shuffle";
import type { Options } from "../command/command.js";
import { Failure } from "../command/failure.js";
import { JsonText } from "./json-text.js";
import { AGGREGATES, type AggregateName } from "./names.js";
import type { RecordSource, Row, ScannedValues } from "./record-source.js";
import { textOf } from "./record-text.js";
import type { RecordValues } from "./record-values.js";
import { shownField } from "./result-names.js";
import {
  type AggregateColumn,
  type Numbered,
  NumbersOfText,
  numberOf,
  WrittenExtreme,
  WrittenNumbers,
} from "./written-numbers.js";

type Kind = AggregateName | "count";

/** A column of results: an aggregate of a field. */
export interface ColumnSpec {
  readonly kind: Kind;
  readonly field: string | undefined;
}

/** The columns that the options ask for, in the order of the help. */
export function aggregateColumns(options: Options): ColumnSpec[] {
  const counts: ColumnSpec[] = options.has("count") ? [{ kind: "count", field: undefined }] : [];
  return [
    ...counts,
    ...AGGREGATES.flatMap(({ name }) => options.list(name).map((field) => ({ kind: name, field }))),
  ];
}

/** Takes values out of records, and aggregates them. */
export class Columns {
  readonly names: readonly string[];
  /** Aggregates over rows of values, as {@link valuesOf} makes them. */
  readonly select: Record<string, Aggregate<unknown[], unknown>>;
  /** Aggregates over records, by field. */
  readonly selectFields: Record<string, Aggregate<unknown, unknown>>;
  readonly #specs: readonly ColumnSpec[];
  readonly #values: RecordValues;
  readonly #isText: boolean;
  readonly #source: RecordSource;
  /** How the numbers of a column of CSV are written, by the fields of min and max. */
  readonly #written = new Map<string, WrittenNumbers>();
  /** Texts that say that there is no value. */
  readonly #nulls: ReadonlySet<string>;
  /** The type of the values of min and max so far, by column. */
  readonly #types: (string | undefined)[] = [];

  /** @param nulls texts that say that there is no value. */
  constructor(specs: readonly ColumnSpec[], source: RecordSource, nulls: readonly string[] = []) {
    const { values } = source;
    this.#nulls = new Set(nulls);
    this.#specs = specs;
    this.#source = source;
    this.#values = values;
    this.#isText = source.delimiter !== undefined;
    this.names = specs.map(({ kind, field }) =>
      field === undefined ? kind : `${kind}_${shownField(field)}`,
    );
    this.select = Object.fromEntries(
      specs.map(({ kind }, i) => [`c${i}`, this.#make(kind, (row) => (row as unknown[])[i + 1])]),
    );
    this.selectFields = Object.fromEntries(
      specs.map(({ kind, field }, i) => [`c${i}`, this.#make(kind, field ?? "")]),
    );
  }

  /** For CSV, the result of min and max is the text in the file, and sums are of such texts, too. */
  #make(kind: Kind, value: ValueOf<unknown>): Aggregate<unknown, unknown> {
    const made = MAKE[kind](value);
    if (!this.#isText) {
      return TYPED.has(kind) ? { ...made, column: () => new OfOneType(made.column()) } : made;
    }
    if (TYPED.has(kind))
      return { ...made, column: () => new WrittenExtreme(kind as "min" | "max") };
    return kind === "sum" || kind === "mean"
      ? { ...made, column: () => new NumbersOfText(made.column()) }
      : made;
  }

  /**
   * Whether only numbers are taken out of records: then none is parsed. First and last values are
   * printed as they are written, and a column of CSV may have a dot in its name.
   */
  get areNumbers(): boolean {
    return this.#specs.every(({ kind, field = "" }) => {
      return kind !== "first" && kind !== "last" && !(this.#isText && /[.\\]/.test(field));
    });
  }

  /** Whether threads may read the values: they do not look at how numbers are written. */
  get mayShare(): boolean {
    return this.#nulls.size === 0;
  }

  /**
   * Converts text to numbers, and for min and max numbers to text that would be written in another way: `1.50`, `1e3`.
   *
   * @throws `Failure` for a value that its column does not take.
   */
  check({ field, scan, index, text, failure }: ScannedValues): void {
    const kinds = scan.kinds(index);
    const columns = [...this.#specs.keys()].filter((i) => this.#specs[i]?.field === field);
    const typed = columns.filter((i) => TYPED.has(this.#specs[i]?.kind as Kind));
    const areNumbers = () => typed.every((i) => this.#types[i] === "number");
    const written = this.#isText && typed.length > 0 ? this.#writtenNumbers(field) : undefined;
    const pass = this.mayShare && written === undefined;
    let passNumbers = pass && areNumbers();
    for (let i = 0; i < scan.count; i++) {
      const kind = kinds[i] as number;
      if (kind === VALUE_KIND.number && passNumbers) continue;
      if (kind <= VALUE_KIND.null) continue;
      if (scan.missing(i)) continue; // It has no group.
      const told = (what: string) => failure(i, what);
      if (kind === VALUE_KIND.number) {
        const number = scan.numbers(index)[i] as number;
        if (this.#nulls.has(String(number))) {
          kinds[i] = VALUE_KIND.null;
          continue;
        }
        for (const column of typed) this.#sameType(number, column, told);
        passNumbers = pass && areNumbers();
        if (written?.isPlain(scan, i) === false) kinds[i] = VALUE_KIND.text;
        continue;
      }
      const taken = columns.map((column) => this.#taken(text(i), field, column, told));
      const value = taken.find((one) => typeof one === "string") ?? taken[0];
      if (value === null) kinds[i] = VALUE_KIND.null;
      if (typeof value !== "number") continue;
      kinds[i] = VALUE_KIND.number;
      scan.numbers(index)[i] = value;
    }
  }

  /** Results of all records, by the numbers that a scanner finds. */
  async totalsOfFields(source: RecordSource): Promise<unknown[]> {
    const totals = this.#totals();
    const fields = [...new Set(this.#specs.flatMap(({ field }) => field ?? []))];
    const records = source.objects((values) => this.check(values));
    const scanner = records.format.scanner([], { values: fields });
    for await (const batch of records.batches()) {
      const scan = scanner.scan(batch);
      const values = fields.map((field, index) => this.#valuesIn(scan, field, index));
      totals.add(
        scan.count,
        this.#specs.map(({ field }) => (field === undefined ? [] : values[fields.indexOf(field)]!)),
      );
    }
    return this.#shownTotals(totals);
  }

  /** Results of all records, by parsing each. */
  async totalsOfRows(source: RecordSource): Promise<unknown[]> {
    const totals = this.#totals();
    for await (const row of source.rows([])) {
      const values = this.valuesOf(row);
      totals.add(
        1,
        values.map((value) => [value]),
      );
    }
    return this.#shownTotals(totals);
  }

  #writtenNumbers(field: string): WrittenNumbers {
    let written = this.#written.get(field);
    if (written === undefined) {
      const { delimiter = "", names, quotes } = this.#source;
      written = new WrittenNumbers(names.indexOf(field), delimiter, quotes);
      this.#written.set(field, written);
    }
    return written;
  }

  #totals(): Totals {
    return new Totals(this.#specs.map(({ kind, field }) => this.#make(kind, field ?? "")));
  }

  #shownTotals(totals: Totals): unknown[] {
    return totals.results().map((result, i) => this.shown(result, i));
  }

  /** The values of a field that {@link check} has looked at: numbers, text or nothing. */
  #valuesIn(scan: Scan, field: string, index: number): ArrayLike<unknown> {
    const kinds = scan.kinds(index).subarray(0, scan.count);
    const numbers = scan.numbers(index);
    if (kinds.every((kind) => kind === VALUE_KIND.number)) return numbers;
    return Array.from(kinds, (kind, i) => {
      if (kind === VALUE_KIND.number) return numbers[i];
      return kind <= VALUE_KIND.null ? null : this.#values.value(textOf(scan, i), field);
    });
  }

  /**
   * What is printed for a result.
   *
   * @throws `Failure` for one that no double holds: NDJSON could only write `null`, as for no values.
   */
  shown(result: unknown, column: number, key?: unknown): unknown {
    const { kind, field } = this.#specs[column] as ColumnSpec;
    if (typeof result === "number" && !Number.isFinite(result)) {
      const whose = key === undefined ? "" : ` for ${JSON.stringify(key)}`;
      throw new Failure(
        `--${kind} ${field}${whose} is beyond 1.8e308, the largest number of 64 bits: leave out the records with such numbers, which --first ${field} prints as they are written`,
      );
    }
    if (typeof result !== "string") return result;
    const isJson = this.#isText
      ? TYPED.has(kind) && JSON_NUMBER.test(result)
      : kind === "first" || kind === "last";
    return isJson ? new JsonText(result) : result;
  }

  /** A value for each column. @throws `Failure` for a value that its column does not take. */
  valuesOf({ text, failure }: Row): unknown[] {
    return this.#specs.map(({ kind, field }, i) => {
      if (field === undefined) return null;
      // Numbers of first and last values are printed as they are written.
      if (kind === "first" || kind === "last") {
        return this.#isText ? this.#values.value(text, field) : this.#values.json(text, field);
      }
      return this.#taken(text, field, i, failure);
    });
  }

  /** The value of a field for a column: `null` if there is none. */
  #taken(
    text: string,
    field: string,
    column: number,
    failure: Row["failure"],
  ): string | number | null {
    const value = this.#values.value(text, field);
    if (value === undefined || value === null || (this.#isText && value === "")) return null;
    const number = this.#isText ? numberOf(value as string) : value;
    if (this.#nulls.has(String(value)) || this.#nulls.has(String(number ?? value))) return null;
    const { kind } = this.#specs[column] as ColumnSpec;
    if (typeof number === "number") {
      this.#sameType(number, column, failure);
      return this.#isText && TYPED.has(kind) ? (value as string) : number;
    }
    if (typeof value === "string" && TYPED.has(kind)) {
      return this.#sameType(value, column, failure);
    }
    const shown = String(JSON.stringify(value)).slice(0, 40);
    const isForeign = typeof value === "string" && /^[-+]?\d[\d.,'\s]*\d$/.test(value);
    const hint = NOTHING.test(String(value))
      ? `: --null '${value}' passes it over`
      : isForeign
        ? ": a number has a point, and no comma"
        : "";
    throw failure(`has ${shown} for --${kind} ${field}, which is not a number${hint}`);
  }

  #sameType(value: string | number, column: number, failure: Row["failure"]): string | number {
    const before = this.#types[column];
    this.#types[column] ??= typeof value;
    if (before === undefined || before === typeof value) return value;
    const { kind, field } = this.#specs[column] as ColumnSpec;
    const names: { readonly [type: string]: string } = { string: "text", number: "a number" };
    throw failure(
      `has ${JSON.stringify(value)} for --${kind} ${field}, which is ${names[typeof value]}, and one before had ${names[before]}`,
    );
  }
}

/** A column whose values are all numbers, or all text, also where threads have not checked them. */
class OfOneType implements AggregateColumn {
  readonly #inner: AggregateColumn;
  #type: string | undefined;

  constructor(inner: AggregateColumn) {
    this.#inner = inner;
  }

  get bytesPerKey(): number {
    return this.#inner.bytesPerKey;
  }

  get heldBytes(): number {
    return this.#inner.heldBytes ?? 0;
  }

  add(records: Numbered, values: ArrayLike<unknown>): void {
    this.#check(records.count, values);
    this.#inner.add(records, values);
  }

  result(number: number): unknown {
    return this.#inner.result(number);
  }

  states(keys: number): unknown {
    return this.#inner.states?.(keys);
  }

  merge(keys: Numbered, states: never): void {
    this.#check(keys.count, states);
    this.#inner.merge?.(keys, states);
  }

  #check(count: number, values: ArrayLike<unknown>): void {
    for (let i = 0; i < (values instanceof Float64Array ? Math.min(1, count) : count); i++) {
      const value = values[i];
      if (value === undefined || value === null) continue;
      this.#type ??= typeof value;
      if (typeof value !== this.#type) throw new Failure("a column has numbers and text");
    }
  }
}

/** Aggregates of all records: those of one key. */
class Totals {
  readonly #columns: readonly AggregateColumn[];
  #numbers = new Uint32Array(1024);

  constructor(aggregates: readonly Aggregate<unknown, unknown>[]) {
    this.#columns = aggregates.map((one) => one.column());
  }

  add(count: number, values: readonly ArrayLike<unknown>[]): void {
    if (this.#numbers.length < count) this.#numbers = new Uint32Array(2 * count);
    const records = { count, numbers: this.#numbers, keys: 1, key: () => undefined };
    for (const [i, column] of this.#columns.entries()) column.add(records, values[i]!);
  }

  results(): unknown[] {
    return this.#columns.map((column) => column.result(0));
  }
}

/** How databases and statisticians write that there is no value. */
const NOTHING = /^(?:\\N|NA|N\/A|NULL|None|NaN|-)$/i;

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[-+]?\d+)?$/i;

/** Kinds that take text too, but not mixed with numbers. */
const TYPED: ReadonlySet<Kind> = new Set(["min", "max"]);

const MAKE: {
  readonly [kind in Kind]: (value: ValueOf<unknown>) => Aggregate<unknown, unknown>;
} = { count: () => count(), sum, min, max, mean, first, last };
