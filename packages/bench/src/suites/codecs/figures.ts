#!/usr/bin/env node
/**
 * Writes the figures of docs/formats.md from what a run has measured:
 *
 *   npm run bench -- codecs --json figures.json
 *   node packages/bench/dist/suites/codecs/figures.js figures.json
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { Dict, type Store } from "@partd/core";
import type { SavedRun, SavedWork } from "../../run/comparison.js";
import { listCodecs, tableCodec } from "./codecs.js";
import { flightTables, RECORDS, type RecordsName, recordLists } from "./data.js";

const DOCUMENT = fileURLToPath(new URL("../../../../../docs/formats.md", import.meta.url));
const run = JSON.parse(readFileSync(process.argv[2] as string, "utf8")) as SavedRun;
const measured = run.works.filter(({ suite }) => suite === "codecs");
const [before, , after] = readFileSync(DOCUMENT, "utf8").split("<!-- figures -->") as string[];
writeFileSync(DOCUMENT, [before, await figures(), after].join("<!-- figures -->"));

async function figures(): Promise<string> {
  const lines = [
    "",
    "",
    `Node ${process.version}, ${cpus()[0]?.model.trim()}; thousands of records or rows a second of the`,
    "fastest round, append / get.",
    "",
    "| | data | bytes a record | partd | the library alone | Python's partd |",
    "|---|---|--:|--:|--:|--:|",
  ];
  for (const { name, wrap } of listCodecs) {
    for (const data of ["flights", "earthquakes"] as const) {
      lines.push(row(name, data, await bytesARecord(wrap, data), `${data}, 1,000 records`));
    }
  }
  const tables = flightTables(2000, 10);
  const store = new Dict();
  for (const table of tables) await tableCodec(store).append({ x: table });
  lines.push(row("Arrow", "flights", store.byteLength / 20_000, "flights in tables"));
  lines.push(
    "",
    "Columns of float64, a mebibyte an append; MB a second, append / get:",
    "",
    "| | in | partd | raw bytes | Python's partd |",
    "|---|---|--:|--:|--:|",
  );
  for (const place of ["memory", "files"]) {
    const [own, raw, python] = ["NdArray", "raw bytes", "Python"].map((side) =>
      both("NdArray", `appends in ${place}`, side, 1),
    );
    lines.push(`| \`NdArray\` | ${place} | ${own} | ${raw} | ${python} |`);
  }
  return [...lines, "", ""].join("\n");
}

function row(name: string, data: string, bytes: number, title: string): string {
  const sides = new Set(find(name, "append", title)?.results.map((side) => side.name));
  const library = [...sides].find((side) => side !== name && !/^(Python|PandasBlocks)$/.test(side));
  const python = [...sides].find((side) => /^(Python|PandasBlocks)$/.test(side));
  const cells = [name, library, python].map((side) => {
    if (side === undefined) return "–";
    const text = both(name, title, side, 1000);
    if (side === name) return text;
    return side === "Python" ? text : `${text} (${side})`;
  });
  return `| \`${name}\` | ${data} | ${Math.round(bytes)} | ${cells.join(" | ")} |`;
}

async function bytesARecord(
  wrap: (store: Store) => Store<unknown[]>,
  data: RecordsName,
): Promise<number> {
  const store = new Dict();
  const lists = recordLists(data);
  for (const list of lists) await wrap(store).append({ x: list });
  return store.byteLength / (lists.length * RECORDS);
}

function both(name: string, title: string, side: string, unit: number): string {
  return (["append", "get"] as const)
    .map((direction) => rate(find(name, direction, title), side, unit))
    .join(" / ");
}

function find(name: string, direction: string, title: string): SavedWork | undefined {
  return measured.find(
    ({ work }) => work.startsWith(`${name}: ${direction} `) && work.includes(title),
  );
}

function rate(work: SavedWork | undefined, side: string, unit: number): string {
  const seconds = work?.results.find(({ name }) => name === side)?.seconds;
  if (work === undefined || seconds === undefined) return "–";
  const perSecond = work.count / Math.min(...seconds) / unit;
  return String(Number(perSecond.toPrecision(2)));
}
