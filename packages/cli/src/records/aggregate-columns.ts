import { type Aggregate, count, first, last, max, mean, min, sum } from "@partd/shuffle";
import type { Options } from "../command/command.js";
import { delimiterOf } from "./format.js";
import { AGGREGATES, type AggregateName } from "./names.js";
import type { RecordSource, Row } from "./record-source.js";
import type { RecordValues } from "./record-values.js";
import { JsonText } from "./record-writer.js";

type Kind = AggregateName | "count";

/** A column of results: what is made of which field. */
export interface ColumnSpec {
  readonly kind: Kind;
  readonly field: string | undefined;
}

/** What the options ask for, in the order of the help. */
export function columnsOf(options: Options): ColumnSpec[] {
  const counts: ColumnSpec[] = options.has("count") ? [{ kind: "count", field: undefined }] : [];
  return [
    ...counts,
    ...AGGREGATES.flatMap(({ name }) => options.list(name).map((field) => ({ kind: name, field }))),
  ];
}

/** Takes values out of records, and says what is made of them. */
export class Columns {
  readonly names: readonly string[];
  readonly select: Record<string, Aggregate<unknown[], unknown>>;
  readonly #specs: readonly ColumnSpec[];
  readonly #values: RecordValues;
  readonly #isText: boolean;
  /** The type that min and max have met, by column. */
  readonly #types: (string | undefined)[] = [];

  constructor(specs: readonly ColumnSpec[], { writtenAs, values }: RecordSource) {
    this.#specs = specs;
    this.#values = values;
    this.#isText = delimiterOf(writtenAs) !== undefined;
    this.names = specs.map(({ kind, field }) => (field === undefined ? kind : `${kind}_${field}`));
    this.select = Object.fromEntries(
      specs.map(({ kind }, i) => [`c${i}`, MAKE[kind]((row: unknown[]) => row[i + 1])]),
    );
  }

  /** What is printed for a result. */
  shown(result: unknown, column: number): unknown {
    const { kind } = this.#specs[column] as ColumnSpec;
    const isJson = !this.#isText && (kind === "first" || kind === "last");
    return isJson && typeof result === "string" ? new JsonText(result) : result;
  }

  /** A value for each column. @throws `Failure` where a value is none that the column takes. */
  valuesOf({ text, failure }: Row): unknown[] {
    return this.#specs.map(({ kind, field }, i) => {
      if (field === undefined) return null;
      // Numbers of the first and the last record are not written anew.
      if (kind === "first" || kind === "last") {
        return this.#isText ? this.#values.value(text, field) : this.#values.json(text, field);
      }
      const value = this.#values.value(text, field);
      if (value === undefined || value === null || (this.#isText && value === "")) return null;
      const number = this.#isText ? numberOf(value as string) : value;
      if (typeof number === "number") return this.#sameType(number, i, failure);
      if (typeof value === "string" && (kind === "min" || kind === "max")) {
        return this.#sameType(value, i, failure);
      }
      const shown = String(JSON.stringify(value)).slice(0, 40);
      throw failure(`has ${shown} for --${kind} ${field}, which is no number`);
    });
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

function numberOf(text: string): number | undefined {
  return /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*$/i.test(text) ? Number(text) : undefined;
}

const MAKE: {
  readonly [kind in Kind]: (value: (row: unknown[]) => unknown) => Aggregate<unknown[], unknown>;
} = { count: () => count(), sum, min, max, mean, first, last };
