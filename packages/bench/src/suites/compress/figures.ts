#!/usr/bin/env node
/**
 * Measures the figures of docs/compression.md, and draws its picture:
 *
 *   node packages/bench/dist/suites/compress/figures.js
 *
 * It takes the lower quartile of many single values, all sides in turn, and not whole runs as the
 * suite does: so it gives nearly the same figures on a machine that has other work.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BufferStore } from "@partd/buffer";
import { ZLib } from "@partd/compress-zlib";
import { Dict, type Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { debianPython } from "../../run/debian-python.js";
import { compressEntries } from "./compress.js";
import { DATA_FOLDER, type DataName, realValue } from "./data.js";
import { drawCompressions, type Point } from "./picture.js";

const DATA: readonly DataName[] = ["text", "json", "float64"];
const [ROUNDS, WARM_UP] = [40, 5];
const DOCS = fileURLToPath(new URL("../../../../../docs/", import.meta.url));

/** MB/s to compress and to decompress. */
type Rates = readonly [compress: number, decompress: number];

interface Row extends Point {
  /** Of the engines alone, by their names. */
  readonly engines: readonly (readonly [name: string, rates: Rates])[];
  readonly python: Rates | undefined;
}

const rows: Row[] = [];
for (const entry of compressEntries) {
  for (const data of DATA) rows.push(await measure(entry, data));
}
const document = readFileSync(`${DOCS}compression.md`, "utf8");
writeFileSync(
  `${DOCS}compression.md`,
  replacePart(replacePart(document, "figures", figures()), "appends", await appends()),
);
writeFileSync(`${DOCS}compression.svg`, drawCompressions(rows));

async function measure(entry: (typeof compressEntries)[number], data: DataName): Promise<Row> {
  const value = realValue(data);
  const store = new Dict();
  const reader = entry.wrap(store);
  await reader.append({ x: value });
  const works: (() => Promise<unknown> | unknown)[] = [
    () => entry.wrap(new Dict()).append({ x: value }),
    () => reader.get("x"),
  ];
  for (const { compress, decompress } of entry.engines) {
    const encoded = await compress(value);
    works.push(
      () => compress(value),
      () => decompress(encoded),
    );
  }
  const rates = (await quartiles(works)).map((seconds) => value.byteLength / 1e6 / seconds);
  const [compress = 0, decompress = 0] = rates;
  return {
    name: entry.name,
    data,
    ratio: value.byteLength / store.byteLength,
    compress,
    decompress,
    engines: entry.engines.map(({ name }, i) => [
      name,
      [rates[2 * i + 2] as number, rates[2 * i + 3] as number],
    ]),
    python: entry.python ? pythonRates(entry.python, data) : undefined,
  };
}

/** Seconds that each takes. */
async function quartiles(works: readonly (() => unknown)[]): Promise<number[]> {
  const seconds: number[][] = works.map(() => []);
  for (let round = 0; round < ROUNDS + WARM_UP; round++) {
    for (const [i, work] of works.entries()) {
      const start = performance.now();
      await work();
      if (round >= WARM_UP) seconds[i]?.push((performance.now() - start) / 1000);
    }
  }
  return seconds.map((one) => one.sort((a, b) => a - b)[one.length >> 2] as number);
}

function pythonRates(name: string, data: DataName): Rates {
  const script = fileURLToPath(new URL("../../../python/", import.meta.url));
  const words = [name, data, DATA_FOLDER, String(ROUNDS)];
  const code = "import sys, compress; compress.rates(*sys.argv[1:])";
  const output = execFileSync(debianPython(), ["-c", code, ...words], { cwd: script });
  return JSON.parse(output.toString()) as Rates;
}

function figures(): string {
  const lines = [
    `Node ${process.version}, ${cpus()[0]?.model.trim()}; MB/s to compress / to decompress.`,
    "",
    "| | data | ratio | partd | its engine alone | Python's partd |",
    "|---|---|--:|--:|--:|--:|",
  ];
  for (const { name, data, ratio, compress, decompress, engines, python } of rows) {
    const alone = engines.map(([engine, rates]) => `${show(rates)} (${engine})`).join(", ");
    lines.push(
      `| \`${name}\` | ${data} | ${ratio.toFixed(2)} | ${show([compress, decompress])} | ${alone} | ${python ? show(python) : ""} |`,
    );
  }
  return lines.join("\n");
}

function show(rates: Rates): string {
  return rates
    .map((rate) => (rate < 100 ? rate.toPrecision(2) : String(Math.round(rate / 10) * 10)))
    .join(" / ");
}

/** 20,000 records, appended one by one to 50 keys. */
async function appends(): Promise<string> {
  const records = JSON.parse(readFileSync(`${DATA_FOLDER}flights-20k.json`, "utf8")) as object[];
  const text = new TextEncoder();
  const values = records.map((record) => text.encode(`${JSON.stringify(record)}\n`));
  const towers: Record<string, (path: string) => Store> = {
    "`new FileStore(path)`": (path) => new FileStore(path),
    "`new ZLib(new FileStore(path))`": (path) => new ZLib(new FileStore(path)),
    "`new ZLib(new BufferStore(new Dict(), new FileStore(path)))`": (path) =>
      new ZLib(new BufferStore(new Dict(), new FileStore(path))),
    "`new BufferStore(new Dict(), new ZLib(new FileStore(path)))`": (path) =>
      new BufferStore(new Dict(), new ZLib(new FileStore(path))),
  };
  const lines = ["| tower | bytes on disk | time |", "|---|--:|--:|"];
  for (const [name, open] of Object.entries(towers)) {
    const path = await mkdtemp(join(tmpdir(), "partd-figures-"));
    const store = open(path);
    const start = performance.now();
    for (const [i, value] of values.entries()) await store.append({ [`key-${i % 50}`]: value });
    await store.close();
    const seconds = (performance.now() - start) / 1000;
    lines.push(
      `| ${name} | ${(await bytesIn(path)).toLocaleString("en")} | ${seconds.toFixed(2)} s |`,
    );
    await rm(path, { recursive: true });
  }
  return lines.join("\n");
}

async function bytesIn(path: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(path)) {
    if (name.startsWith("key-")) sum += (await stat(join(path, name))).size;
  }
  return sum;
}

function replacePart(document: string, name: string, text: string): string {
  const part = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`);
  if (!part.test(document)) throw new Error(`docs/compression.md has no part ${name}`);
  return document.replace(part, (_, start, end) => `${start}\n${text}\n\n${end}`);
}
