/** Names on the command line, without their implementations: starting up needs only the names. */

export type Format = "ndjson" | "json" | "csv" | "tsv" | "arrow" | "parquet";

export const FORMATS: readonly Format[] = ["ndjson", "json", "csv", "tsv", "arrow", "parquet"];

/** What file names end in, before the ending of a compression; --from and --to take these, too. */
export const ENDINGS: { readonly [ending: string]: Format } = {
  __proto__: null as never,
  ndjson: "ndjson",
  jsonl: "ndjson",
  ldjson: "ndjson",
  json: "json",
  csv: "csv",
  tsv: "tsv",
  tab: "tsv",
  arrow: "arrow",
  arrows: "arrow",
  feather: "arrow",
  parquet: "parquet",
};

/** How options name a field whose name is empty: a word that is empty is mostly a variable that is unset. */
export const EMPTY_NAME = '""';

/** The field that a word of an option names. */
export function fieldNamed(word: string): string {
  return word === EMPTY_NAME ? "" : word;
}

export type AggregateName = "sum" | "min" | "max" | "mean" | "first" | "last";

export const AGGREGATES: readonly { readonly name: AggregateName; readonly about: string }[] = [
  { name: "sum", about: "sums of these fields" },
  { name: "min", about: "the least number, or text, of these fields" },
  { name: "max", about: "the greatest" },
  { name: "mean", about: "the mean" },
  { name: "first", about: "the value of the first record" },
  { name: "last", about: "the value of the last record" },
];
