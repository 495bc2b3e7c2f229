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

/** A compression on one kind of data. */
interface Point {
  readonly name: string;
  readonly data: DataName;
  /** Bytes before, for each after. */
  readonly ratio: number;
  /** MB/s of bytes before. */
  readonly compress: number;
  readonly decompress: number;
}

const PANEL = { width: 300, height: 260, left: 52, top: 46, gap: 26 };

/** Ratio against speed, as SVG: a panel for each kind of data, to compress full, to decompress hollow. */
function drawCompressions(points: readonly Point[]): string {
  const kinds = [...new Set(points.map(({ data }) => data))];
  const names = [...new Set(points.map(({ name }) => name))];
  const width = PANEL.left + kinds.length * (PANEL.width + PANEL.gap);
  const height = PANEL.top + PANEL.height + 76;
  const speeds = points.flatMap(({ compress, decompress }) => [compress, decompress]);
  const x = logScale(Math.min(...speeds) / 1.3, Math.max(...speeds) * 1.3, 0, PANEL.width);
  const ratios = points.map(({ ratio }) => ratio);
  const y = logScale(Math.min(...ratios, 1), Math.max(...ratios) * 1.15, PANEL.height, 0);
  const color = (name: string) => `hsl(${(names.indexOf(name) * 360) / names.length} 65% 42%)`;
  const panels = kinds.map((kind, i) => {
    const left = PANEL.left + i * (PANEL.width + PANEL.gap);
    const marks = points.filter(({ data }) => data === kind).map((point) => mark(point));
    return `<g transform="translate(${left} ${PANEL.top})">
<rect width="${PANEL.width}" height="${PANEL.height}" fill="none" stroke="#bbb"/>
${grid(x, y, i === 0)}
<text x="${PANEL.width / 2}" y="-10" text-anchor="middle" font-weight="bold">${kind}</text>
${marks.join("\n")}
</g>`;
  });
  const legend = names.map((name, i) => {
    const left = PANEL.left + i * 100;
    return `<circle cx="${left}" cy="${height - 14}" r="5" fill="${color(name)}"/><text x="${left + 10}" y="${height - 10}">${name}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="white"/>
<text x="${PANEL.left}" y="18">Ratio (up) against MB/s (right): full circles compress, hollow ones decompress. Better is up and right.</text>
${panels.join("\n")}
${legend.join("\n")}
</svg>
`;

  function mark({ name, ratio, compress, decompress }: Point): string {
    const [from, to, up] = [x.at(compress), x.at(decompress), y.at(ratio)].map(round);
    return `<g stroke="${color(name)}" stroke-width="2"><line x1="${from}" y1="${up}" x2="${to}" y2="${up}" stroke-opacity="0.35"/><circle cx="${from}" cy="${up}" r="5" fill="${color(name)}"/><circle cx="${to}" cy="${up}" r="5" fill="white"/></g>`;
  }
}

interface Scale {
  readonly low: number;
  readonly high: number;
  at(value: number): number;
}

function logScale(low: number, high: number, from: number, to: number): Scale {
  const span = Math.log(high / low);
  return { low, high, at: (value) => from + ((to - from) * Math.log(value / low)) / span };
}

function grid(x: Scale, y: Scale, withRatios: boolean): string {
  const columns = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].filter(
    (speed) => speed >= x.low && speed <= x.high,
  );
  const rows = [1, 1.5, 2, 3, 5, 8, 12, 20].filter((ratio) => ratio >= y.low && ratio <= y.high);
  return [
    ...columns.map((speed) => {
      const at = round(x.at(speed));
      return `<line x1="${at}" y1="0" x2="${at}" y2="${PANEL.height}" stroke="#eee"/><text x="${at}" y="${PANEL.height + 16}" text-anchor="middle" fill="#555">${speed < 1000 ? speed : `${speed / 1000}k`}</text>`;
    }),
    ...rows.map((ratio) => {
      const at = round(y.at(ratio));
      const label = withRatios
        ? `<text x="-8" y="${at + 4}" text-anchor="end" fill="#555">${ratio}</text>`
        : "";
      return `<line x1="0" y1="${at}" x2="${PANEL.width}" y2="${at}" stroke="#eee"/>${label}`;
    }),
  ].join("\n");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
