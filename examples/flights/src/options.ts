import { createRequire } from "node:module";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { readCsv, readJson, readNdjson, readParquet, readTsv } from "@partd/records";
import type { Source } from "@partd/shuffle";
import { compressors } from "hyparquet-compressors";

export const HELP = `Groups the records of a file by a field, in bounded memory, and prints the largest groups.

Usage: npm start                              three million flights, by the airport they leave from
       npm start -- FILE --by FIELD [options] a file of your own: NDJSON, JSON, CSV, TSV or Parquet

Options:
  --by FIELD    what to group by; more than once for a list of fields
  --mean FIELD  the mean of a field of numbers, for each group
  --memory MB   memory for records (default 64); what does not fit goes to a temporary file
  --top N       how many groups to print (default 15)
  --json        print them as JSON
  --help

Examples:
  npm start -- --by destination --top 5
  npm start -- events.ndjson --by user --mean ms
  npm start -- events.csv.gz --by country --by city --memory 256
`;

export interface Options {
  readonly source: Source<Row>;
  readonly by: string[];
  readonly mean: string | undefined;
  /** In megabytes. */
  readonly memory: number;
  readonly top: number;
  readonly json: boolean;
}

/** A record of a file that is known only when the program runs. */
export interface Row {
  readonly [field: string]: unknown;
}

/** What the command line asks for; nothing if it asks for help. */
export function parseOptions(): Options | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      by: { type: "string", multiple: true },
      mean: { type: "string" },
      memory: { type: "string", default: "64" },
      top: { type: "string", default: "15" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const [file, another] = positionals;
  if (another !== undefined) throw new Error(`One file at a time, please: what is ${another}?`);
  if (file !== undefined && values.by === undefined) {
    throw new Error(`Name the field to group by, as in: npm start -- ${file} --by user`);
  }
  const own = file === undefined ? { by: ["origin"], mean: "delay" } : { by: [], mean: undefined };
  return {
    source: open(file ?? flights()),
    by: values.by ?? own.by,
    mean: values.mean ?? own.mean,
    memory: positive("memory", values.memory),
    top: positive("top", values.top),
    json: values.json,
  };
}

function positive(name: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`--${name} takes a whole number from 1 on, not ${value}.`);
}

/** US domestic flights of the first half of 2001, from the npm package `vega-datasets`. */
function flights(): string {
  const { resolve } = createRequire(import.meta.url);
  return resolve("vega-datasets").replace(/build.[^/\\]*$/, "data/flights-3m.parquet");
}

/** The reader goes by the end of the name; compressed files are recognised by their bytes. */
function open(file: string): Source<Row> {
  // npm runs a script in the package's folder, and says here from which one it was called.
  const path = resolve(process.env.INIT_CWD ?? "", file);
  const extension = /\.([a-z]+)(\.gz|\.zst)?$/i.exec(path)?.[1]?.toLowerCase();
  if (extension === "ndjson" || extension === "jsonl") return readNdjson<Row>(path);
  if (extension === "json") return readJson<Row>(path);
  if (extension === "csv") return readCsv(path);
  if (extension === "tsv") return readTsv(path);
  if (extension === "parquet") return plain(readParquet<Row>(path, { compressors }));
  throw new Error(`The name ${file} should end in .ndjson, .json, .csv, .tsv or .parquet.`);
}

/** Whole numbers and dates as JSON has them: records that are JSON take half the time to keep. */
async function* plain(rows: AsyncIterable<Row>): AsyncGenerator<Row> {
  for await (const row of rows) {
    const record: Record<string, unknown> = row;
    for (const name in record) {
      const value = record[name];
      if (typeof value === "bigint") record[name] = Number(value);
      else if (value instanceof Date) record[name] = value.toISOString();
    }
    yield record;
  }
}
