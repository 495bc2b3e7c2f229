import { UsageError } from "../command/failure.js";
import { ENDINGS, FORMATS, type Format } from "./names.js";

export type { Format } from "./names.js";

/** The format that a file's name says; `undefined` if it says none. */
export function formatOfName(path: string): Format | undefined {
  const ending = /\.([a-z]+)(?:\.(?:gz|gzip|zst|zstd|bz2|xz|lz4))?$/i.exec(path)?.[1];
  return ending === undefined ? undefined : ENDINGS[ending.toLowerCase()];
}

/**
 * Checks the name of a file that is written in this format whatever it is called, and not packed.
 *
 * @param option what named it.
 * @throws `UsageError` for an ending of another format or of a compression.
 */
export function requireNameOf(format: Format, path: string, option: string): void {
  const named = formatOfName(path);
  if (!PACKED.test(path) && (named === undefined ? !isOther(path) : named === format)) return;
  throw new UsageError(
    `${option} ${path}: what is written is ${format}, not packed; end it in .${format}`,
  );
}

/**
 * Checks that the name of an output says no format that is not written.
 *
 * @throws `UsageError` if it does.
 */
export function requireWritten(path: string): void {
  const unpacked = path.replace(PACKED, "");
  if (!isOther(unpacked)) return;
  const ending = unpacked.slice(unpacked.lastIndexOf("."));
  throw new UsageError(
    `${path}: ${ending} is not written; end it in ${FORMATS.map((format) => `.${format}`).join(", ")}, or say --to`,
  );
}

const PACKED = /\.(?:gz|gzip|zst|zstd|bz2|xz|lzma|lz4|br|zip|7z|rar)$/i;

/** Whether a name ends as files of formats do that are neither read nor written. */
function isOther(path: string): boolean {
  return /\.(?:xls[xmb]?|ods|numbers|avro|orc|bson|msgpack|ya?ml|toml|xml|html?|pdf|docx?|sqlite3?|db|duckdb|sql|dbf|accdb|mdb|pkl|pickle|np[yz]|h5|hdf5?|rds|rdata|dta|sav|sas7bdat)$/i.test(
    path,
  );
}

/**
 * The common format of several inputs.
 *
 * @throws `UsageError` if they differ, or if a name does not say it and --from is not given.
 */
export function formatOf(paths: readonly string[], from: string | undefined): Format {
  if (from !== undefined) return from as Format;
  let format: Format | undefined;
  for (const path of paths) {
    const found = path === "-" ? "ndjson" : formatOfName(path);
    if (found === undefined && isOther(path)) {
      throw new UsageError(
        `${path}: ${path.slice(path.lastIndexOf("."))} is not read; export it as one of ${FORMATS.join(", ")}`,
      );
    }
    if (found === undefined) {
      throw new UsageError(`${path}: its name tells no format; say --from ${FORMATS.join(", ")}`);
    }
    if (isTable(found) && /\.(?:gz|gzip|zst|zstd)$/i.test(path)) {
      throw new UsageError(`${path}: tables of ${found} are read unpacked; unpack it first`);
    }
    format ??= found;
    if (format !== found) {
      throw new UsageError(
        `${paths[0]} is ${format} and ${path} is ${found}: one run takes one format`,
      );
    }
  }
  return format ?? "ndjson";
}

/**
 * What stands between the fields of rows; `undefined` for other formats.
 *
 * @param csv what --delimiter says of CSV.
 */
export function delimiterOf(format: Format, csv = ","): string | undefined {
  return format === "csv" ? csv : format === "tsv" ? "\t" : undefined;
}

/** The format of the records' text: elements of a JSON array and rows of a table become NDJSON. */
export function lineFormat(format: Format): Format {
  return delimiterOf(format) === undefined ? "ndjson" : format;
}

export function isTable(format: Format): format is "arrow" | "parquet" {
  return format === "arrow" || format === "parquet";
}
