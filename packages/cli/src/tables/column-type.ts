/** The types of columns in Arrow and Parquet; types that are written alike are one. */
export type ColumnType = "boolean" | "integer" | "double" | "moment" | "day" | "text" | "json";

/** A column, with its type if an input table has stated it. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType | undefined;
}

/** A column of the output. */
export interface TypedColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** For moments: how many digits follow the second. */
  readonly digits: 3 | 6 | 9;
}

/** Finds the types of columns from all their values. */
export class ColumnTypes {
  readonly #seen = new Map<string, { readonly said: ColumnType | undefined; kinds: number }>();

  /**
   * @param known columns of an input table. Its doubles stay doubles, even if all are whole numbers.
   */
  constructor(known: readonly Column[] = []) {
    for (const { name, type } of known) this.#seen.set(name, { said: type, kinds: 0 });
  }

  learn(record: Readonly<Record<string, unknown>>): void {
    for (const name in record) {
      let column = this.#seen.get(name);
      if (column === undefined) {
        column = { said: undefined, kinds: 0 };
        this.#seen.set(name, column);
      }
      column.kinds |= kindOf(record[name], column.said);
    }
  }

  /** In the order in which they first occurred. */
  get columns(): TypedColumn[] {
    return [...this.#seen].map(([name, { said, kinds }]) => {
      const digits = kinds & NANOS ? 9 : kinds & MICROS ? 6 : 3;
      return { name, type: typeOf(said, kinds & ~(NANOS | MICROS)), digits };
    });
  }
}

const BOOLEAN = 1;
const INTEGER = 2;
const DOUBLE = 4;
const MOMENT = 8;
const DAY = 16;
const TEXT = 32;
const OTHER = 64;
const MICROS = 128;
const NANOS = 256;

function kindOf(value: unknown, said: ColumnType | undefined): number {
  if (value === null) return 0;
  switch (typeof value) {
    case "boolean":
      return BOOLEAN;
    case "number":
      return Number.isInteger(value) && Math.abs(value) < 2 ** 63 ? INTEGER : DOUBLE;
    case "bigint":
      return INTEGER;
    case "string":
      if (said === "moment" && MOMENT_TEXT.test(value)) {
        return MOMENT | (value.length > 27 ? NANOS : value.length > 24 ? MICROS : 0);
      }
      return said === "day" && DAY_TEXT.test(value) ? DAY : TEXT;
    default:
      return OTHER;
  }
}

function typeOf(said: ColumnType | undefined, kinds: number): ColumnType {
  if (kinds === 0) return said ?? "text";
  if (kinds === BOOLEAN) return "boolean";
  if (kinds === INTEGER && said !== "double") return "integer";
  if ((kinds & ~(INTEGER | DOUBLE)) === 0) return "double";
  if (kinds === MOMENT) return "moment";
  if (kinds === DAY) return "day";
  return kinds & OTHER ? "json" : "text";
}

/** The texts that `momentText` and `dayText` write, for years of four digits. */
const MOMENT_TEXT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{3}|\d{6}|\d{9})Z$/;
const DAY_TEXT = /^\d{4}-\d\d-\d\d$/;
