import { PartdError } from "@partd/core";
import { checkOptionNames, type OptionNames } from "@partd/core/author";
import {
  type ByteBatch,
  decodeGroupKey,
  type GroupKey,
  parseInteger,
  type Records,
  type Scan,
  VALUE_KIND,
  valueAt,
} from "@partd/records";
import { checkKeyLengths, whereParsed } from "../run/record-limit.js";
import { FieldWatch } from "../source/field-watch.js";
import { type Keyer, keyedBy, scanAll } from "../source/input.js";
import type { KeyColumns } from "../source/key-columns.js";
import { keyItems } from "../source/key-items.js";
import { NOT_NUMERIC, OrderKeyWriter } from "./order-key.js";
import { word } from "./sorted-order.js";

/** What to sort by: a field, a function of the record, or either with its direction. */
export type SortKey<R> = SortValue<R> | SortRule<R>;

/** A value to sort by, and how. */
export interface SortRule<R> {
  /** A field's name, or a function of the record. */
  readonly by: SortValue<R>;
  /** Default `"asc"`. `null` and missing values come last either way. */
  readonly order?: "asc" | "desc" | undefined;
  /**
   * Compares text as numbers, or numbers as text, for files in which every field is text. Values that
   * are not numbers come after all numbers in either direction, in input order. Default: each value by
   * its type.
   */
  readonly as?: "number" | "string" | undefined;
}

type SortValue<R> = (keyof R & string) | (string & {}) | ((record: R) => unknown);

/** Keys records for sorting. */
export class SortKeyer<R> implements Keyer<R> {
  /** Keys that are fields are read without parsing the record. */
  readonly scan: Keyer<R>["scan"];
  readonly #rules: readonly Rule<R>[];
  readonly #writer = new OrderKeyWriter();
  readonly watch: FieldWatch;

  /** @param call the function that was called with `by`. */
  constructor(call: string, by: SortKey<R> | readonly SortKey<R>[]) {
    const keys = (Array.isArray(by) ? by : [by]) as readonly SortKey<R>[];
    if (keys.length === 0) throw badKey();
    this.#rules = keys.map((key) => toRule(call, key));
    const fields = this.#rules.flatMap(({ field }) => (field === undefined ? [] : [field]));
    this.watch = new FieldWatch(fields, "", "If they are to be without it, sort by a function.");
    if (fields.length === 0) return;
    const values = keys.length === 1 ? fields : [];
    this.scan = (records, reading) => {
      const areNumbers = records.format.name !== "csv" || this.#rules[0]?.as === "number";
      const toKeyed = keyedBy((scan, i, columns) => {
        if (keys.length === 1) this.#writeScanned(scan, i, columns, areNumbers);
        else if (fields.length === keys.length) this.#writeItems(scan, i, columns);
        else this.#writeValues(this.#valuesOf(scan, i, fields.length, records), columns);
        return true;
      });
      const limits = fields.length < keys.length ? whereParsed(reading) : reading;
      const watched = (scan: Scan, batch: ByteBatch) => {
        this.watch.scanned(scan, records);
        // Several fields are first found, as a list, and then written in their order.
        checkKeyLengths(scan, batch, fields.length === 1 ? 1 : 3, limits);
        return toKeyed(scan);
      };
      return scanAll(records, fields, limits, watched, values);
    };
  }

  /** The keys as plain data, if all are fields. */
  get rules(): readonly SortRule<unknown>[] | undefined {
    const rules = this.#rules.map(({ field, descending, as }) => {
      return { by: field!, order: descending ? "desc" : "asc", as } as const;
    });
    return this.#rules.every(({ field }) => field !== undefined) ? rules : undefined;
  }

  #writeScanned(scan: Scan, i: number, columns: KeyColumns, areNumbers: boolean): void {
    const { as, descending } = this.#rules[0]!;
    const start = scan.keyStarts[i]!;
    const end = scan.keyEnds[i]!;
    if (scan.keys[start] === QUOTE && as !== "number") {
      this.#writer.clear();
      this.#writer.writeJsonText(scan.keys, start + 1, end - 1, descending);
      this.#addTo(columns);
      return;
    }
    const isNumber = areNumbers && scan.kinds(0)[i] === VALUE_KIND.number;
    const number = isNumber ? scan.numbers(0)[i]! : Number.NaN;
    const isSmall = Math.abs(number) < 2 ** 53;
    if (isSmall && as !== "string") {
      this.#writer.clear();
      this.#writer.write(number, descending);
      this.#addTo(columns);
    } else this.#writeValues([isSmall ? number : orderOf(scan.key(i))], columns);
  }

  /** Writes a key of several fields. */
  #writeItems({ keys, keyStarts, keyEnds }: Scan, i: number, columns: KeyColumns): void {
    this.#writer.clear();
    let next = 0;
    for (const [start, end] of keyItems(keys, keyStarts[i]!, keyEnds[i]!)) {
      const { as, cast, descending } = this.#rules[next++]!;
      if (keys[start] === QUOTE && as !== "number") {
        this.#writer.writeJsonText(keys, start + 1, end - 1, descending);
      } else {
        this.#writer.write(cast(orderOf(decodeGroupKey(keys, start, end))), descending);
      }
    }
    this.#addTo(columns);
  }

  /**
   * Fields come from the bytes, in which integers have all their digits; other values from functions of
   * the record.
   */
  #valuesOf(scan: Scan, i: number, fields: number, { format }: Records<R>): unknown[] {
    const keys = (fields > 1 ? scan.key(i) : [scan.key(i)]) as readonly GroupKey[];
    let record: R | undefined;
    let next = 0;
    return this.#rules.map(({ field, value }) => {
      if (field !== undefined) return orderOf(keys[next++]);
      record ??= format.parse(scan.bytes, i === 0 ? 0 : scan.ends[i - 1]!, scan.ends[i]!);
      return value(record);
    });
  }

  writeKey(record: R, columns: KeyColumns): true {
    this.watch.parsed(record);
    const values = this.#rules.map(({ value }) => value(record));
    this.#writeValues(values, columns);
    return true;
  }

  end(): void {
    this.watch.end();
  }

  #writeValues(values: readonly unknown[], columns: KeyColumns): void {
    const writer = this.#writer;
    writer.clear();
    for (const [i, { descending, cast }] of this.#rules.entries()) {
      writer.write(cast(values[i]), descending);
    }
    this.#addTo(columns);
  }

  #addTo(columns: KeyColumns): void {
    const { bytes, length } = this.#writer;
    const low = word(bytes, 4, length);
    const high = word(bytes, 0, length);
    if (length > LONGEST_KEPT && columns.count === 0)
      columns.adopt(this.#writer.take(), length, low, high);
    else columns.add(bytes, 0, length, low, high);
    if (length > LONGEST_KEPT) this.#writer.clear();
  }
}

/** Bytes of the longest key whose memory is used again for the next one. */
const LONGEST_KEPT = 64 << 10;
const QUOTE = 0x22;

interface Rule<R> {
  readonly field: string | undefined;
  readonly value: (record: R) => unknown;
  readonly descending: boolean;
  readonly as: "number" | "string" | undefined;
  readonly cast: (value: unknown) => unknown;
}

function toRule<R>(call: string, key: SortKey<R>): Rule<R> {
  const rule = (typeof key === "object" && key !== null ? key : { by: key }) as SortRule<R>;
  checkSortOptions(call, rule, { by: true, order: true, as: true });
  const { by, order, as } = rule;
  if (typeof by !== "function" && typeof by !== "string") throw badKey();
  if (order !== undefined && order !== "asc" && order !== "desc") throw badKey();
  return {
    field: typeof by === "string" ? by : undefined,
    value: typeof by === "function" ? by : (record) => valueAt(record, by),
    descending: order === "desc",
    as,
    cast: as === undefined ? keep : castTo(as),
  };
}

const keep = (value: unknown) => value;

/** From 2^53 on, a number stands for the integer as it is written, so it compares with bigints. */
function orderOf(key: unknown): unknown {
  if (Array.isArray(key)) return key.map(orderOf);
  if (typeof key !== "number" || Math.abs(key) < 2 ** 53) return key;
  return parseInteger(String(key));
}

function castTo(as: "number" | "string"): (value: unknown) => unknown {
  if (as === "string") {
    return (value) => (value === null || value === undefined ? value : String(value));
  }
  if (as !== "number") throw badKey();
  return (value) => {
    if (typeof value === "boolean" || Array.isArray(value)) return NOT_NUMERIC;
    if (typeof value !== "string") return Number.isNaN(value) ? NOT_NUMERIC : value;
    const number = value.trim() === "" ? Number.NaN : Number(value);
    if (Number.isNaN(number)) return NOT_NUMERIC;
    // Not for text such as "1e300", "0x1" or a million digits.
    return Math.abs(number) >= 2 ** 53 && INTEGER.test(value) ? BigInt(value) : number;
  };
}

const INTEGER = /^\s*[-+]?\d{1,400}\s*$/;

/** The same as `checkOptionNames`, with advice for an order that was not given within a key. */
export function checkSortOptions<T>(call: string, options: T, names: OptionNames<T>): void {
  const isWord = (name: string) => !Object.hasOwn(names, name) && ORDER_WORDS.has(name);
  if (Object.keys(options ?? {}).some(isWord)) throw badKey();
  checkOptionNames(call, options, names);
}

const ORDER_WORDS = new Set(["order", "desc", "descending", "asc", "ascending", "reverse"]);

function badKey(): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    'Sort by a field\'s name, a function, { by, order: "asc" or "desc", as: "number" or "string" }, or a list of such.',
  );
}
