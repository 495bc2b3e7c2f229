/** Names on the command line, without their implementations: starting up needs only the names. */

export type Format = "ndjson" | "json" | "csv" | "tsv" | "arrow" | "parquet";

export const FORMATS: readonly Format[] = ["ndjson", "json", "csv", "tsv", "arrow", "parquet"];

export type AggregateName = "sum" | "min" | "max" | "mean" | "first" | "last";

export const AGGREGATES: readonly { readonly name: AggregateName; readonly about: string }[] = [
  { name: "sum", about: "sums of these fields" },
  { name: "min", about: "the least number, or text, of these fields" },
  { name: "max", about: "the greatest" },
  { name: "mean", about: "the mean" },
  { name: "first", about: "the value of the first record" },
  { name: "last", about: "the value of the last record" },
];
