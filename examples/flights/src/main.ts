#!/usr/bin/env node
// Groups the records of a file by a field, in bounded memory, and prints the largest groups.
import { groupBy, top } from "@partd/shuffle";
import { HELP, type Options, parseOptions, type Row } from "./options.js";

/** Ctrl-C ends the run, which removes what it has written to the disk. */
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => stop.abort(new Error("stopped; nothing is left behind")));
}

try {
  const options = parseOptions();
  if (options) await main(options);
  else console.log(HELP);
} catch (error) {
  report("");
  console.error(`flights: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = stop.signal.aborted ? 130 : 1;
}

async function main(options: Options): Promise<void> {
  const begun = performance.now();
  let progress = { records: 0, bytesSpilled: 0 };
  let groups = 0;

  const grouped = groupBy(options.source, {
    by: options.by,
    memory: options.memory * 1e6,
    signal: stop.signal,
    onProgress(now) {
      progress = now;
      report(`${now.phase === "read" ? "reading" : "grouping"} ${amount(now.records)} records`);
    },
  });
  async function* summaries(): AsyncGenerator<Summary> {
    for await (const group of grouped) {
      groups++;
      yield { key: String(group.key), ...(await summarize(group, options.mean)) };
    }
  }
  const largest = { by: "records", order: "desc" } as const;
  const table = await top(summaries(), { n: options.top, by: largest }).toArray();

  const figures = {
    records: progress.records,
    groups,
    seconds: (performance.now() - begun) / 1000,
    bytesSpilled: progress.bytesSpilled,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
  };
  report("");
  if (options.json) {
    console.log(JSON.stringify({ ...figures, largest: table }, null, 2));
    return;
  }
  if (table.length === 1 && table[0]?.key === "undefined") {
    console.error(`No record has the field ${options.by.join(" or ")}.`);
  }
  printTable(table, options);
  console.log(`
grouped  ${amount(figures.records)} records into ${amount(groups)} groups in ${figures.seconds.toFixed(1)} s
memory   ${options.memory} MB for records; ${megabytes(figures.peakResidentBytes)} resident at the peak, all in all
disk     ${figures.bytesSpilled === 0 ? "not used" : `${megabytes(figures.bytesSpilled)} in a temporary file, which is gone`}`);
}

/** What the table says of a group. */
interface Summary {
  readonly key: string;
  readonly records: number;
  readonly mean: number | undefined;
}

/** The records come one by one: a group may be larger than memory. */
async function summarize(
  group: AsyncIterable<Row>,
  mean: string | undefined,
): Promise<Omit<Summary, "key">> {
  let [records, sum, numbers] = [0, 0, 0];
  for await (const record of group) {
    records++;
    // A field of a CSV is text; an empty one is not a number.
    const value = mean === undefined ? undefined : record[mean];
    if (value === undefined || value === null || value === "") continue;
    sum += Number(value);
    numbers++;
  }
  return { records, mean: numbers > 0 ? sum / numbers : undefined };
}

function printTable(table: readonly Summary[], { by, mean }: Options): void {
  const rows = [
    [by.join(","), "records", mean === undefined ? "" : `mean ${mean}`],
    ...table.map((row) => [row.key, amount(row.records), row.mean?.toFixed(1) ?? ""]),
  ];
  const widths = [0, 1, 2].map((i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  for (const [key = "", ...figures] of rows) {
    const columns = figures.map((figure, i) => figure.padStart(widths[i + 1] ?? 0));
    console.log([key.padEnd(widths[0] ?? 0), ...columns].join("  ").trimEnd());
  }
}

/** A line that the next one replaces, where the standard error is a terminal. */
function report(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
}

function amount(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
