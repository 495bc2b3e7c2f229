import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { expect, test } from "@jest/globals";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);

const DATA = join(dirname(createRequire(import.meta.url).resolve("vega-datasets")), "../data");
/** Every CSV and TSV there is: quotes, spaces in names, empty fields, one of 1.4 MB. */
const FILES = readdirSync(DATA).filter((name) => /\.[ct]sv$/.test(name));

type Row = Readonly<Record<string, string>>;

function rowsOf(text: string, delimiter: string): Row[] {
  return parse(text, { columns: true, delimiter, bom: true, skip_empty_lines: true });
}

async function ours(words: readonly string[]): Promise<Row[]> {
  const end = await runner.run([...words, "--to", "ndjson", "-o", "out", "--force", "-q"]);
  expect(end).toMatchObject({ code: 0, err: "" });
  const lines = readFileSync(join(cwd, "out"), "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
}

const sorted = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).sort();

const digest = (rows: readonly unknown[]) =>
  createHash("sha256").update(sorted(rows).join("\n")).digest("hex");

/** A field's name as an option takes it. */
const fieldOf = (column: string) => column.replace(/[\\.]/g, "\\$&").replaceAll(",", "\\,");

test.each(FILES)("%s: what csv-parse reads, grouped, sorted and without twins", async (name) => {
  const path = join(DATA, name);
  const delimiter = name.endsWith(".tsv") ? "\t" : ",";
  const rows = rowsOf(readFileSync(path, "utf8"), delimiter);
  const column = Object.keys(rows[0] as Row).at(-1) as string;
  const by = ["--by", fieldOf(column)];
  expect(digest(await ours(["group", path, ...by]))).toBe(digest(rows));
  // Both sorts are stable, and by the characters' codes.
  const bytes = (row: Row) => Buffer.from(row[column] as string);
  const inOrder = [...rows].sort((a, b) => Buffer.compare(bytes(a), bytes(b)));
  // A difference of thousands of rows would take minutes to be shown.
  const differs = (await ours(["sort", path, ...by])).findIndex((row, i) => {
    return JSON.stringify(row) !== JSON.stringify(inOrder[i]);
  });
  expect([differs, inOrder[differs]]).toEqual([-1, undefined]);
  const values = new Set(rows.map((row) => row[column]));
  expect(await ours(["distinct", path, ...by])).toHaveLength(values.size);
});

test("generated CSV of quotes, delimiters and line ends of every kind", async () => {
  const cell = fc.string({
    unit: fc.constantFrom("a", "b", '"', ",", "\n", "\r\n", " ", "é", "0", "\u{1f600}"),
    maxLength: 6,
  });
  const table = fc.record({
    rows: fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 30 }),
    end: fc.constantFrom("\n", "\r\n"),
    isEnded: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(table, async ({ rows, end, isEnded }) => {
      const lines = [["x", "y y", "é"], ...rows].map((cells) =>
        cells.map((text) => `"${text.replaceAll('"', '""')}"`).join(","),
      );
      writeFileSync(join(cwd, "g.csv"), lines.join(end) + (isEnded ? end : ""));
      const expected = rowsOf(readFileSync(join(cwd, "g.csv"), "utf8"), ",");
      expect(sorted(await ours(["group", "g.csv", "--by", "y y"]))).toEqual(sorted(expected));
    }),
    { numRuns: 40 },
  );
});

test("sums, counts and joins as DuckDB has them", async () => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const rows = async (sql: string) => {
    const reader = await connection.runAndReadAll(sql);
    return sorted(reader.getRowsJson());
  };
  try {
    for (const [file, by, value] of [
      ["disasters.csv", "Entity", "Deaths"],
      ["seattle-weather.csv", "weather", "wind"],
      ["stocks.csv", "symbol", "price"],
      ["birdstrikes.csv", "Origin State", "Cost Total $"],
    ] as const) {
      const sums = ["--count", "--sum", value, "--min", value, "--max", value];
      const found = await ours(["group", join(DATA, file), "--by", by, ...sums]);
      const v = `try_cast("${value}" AS DOUBLE)`;
      const expected = await rows(
        `SELECT coalesce("${by}", ''), count(*)::INTEGER, round(coalesce(sum(${v}), 0), 6), min(${v}), max(${v})
         FROM read_csv('${join(DATA, file)}', all_varchar = true) GROUP BY 1`,
      );
      const rounded = found.map((row) => {
        const [key, count, sum, ...rest] = Object.values(row) as unknown as number[];
        return [key, count, Math.round((sum as number) * 1e6) / 1e6, ...rest];
      });
      expect(sorted(rounded)).toEqual(expected);
    }
    const [airports, flights] = ["airports.csv", "flights-airport.csv"].map((f) => join(DATA, f));
    const joined = await ours([
      "join",
      flights as string,
      airports as string,
      "--on",
      "origin=iata",
    ]);
    const both = await rows(
      `SELECT f.origin, f.destination, f.count, a.name FROM read_csv('${flights}', all_varchar = true) f
       JOIN read_csv('${airports}', all_varchar = true) a ON f.origin = a.iata`,
    );
    expect(sorted(joined.map((r) => [r.origin, r.destination, r.count, r.name]))).toEqual(both);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
});
