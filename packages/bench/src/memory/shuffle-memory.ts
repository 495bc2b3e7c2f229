import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { LINE_BYTES, linesOf } from "./lines.js";

const USAGE = `usage: node dist/memory/shuffle-memory.js [WORK…] [--gigabytes 10] [--keys 10000000] [--memory 256]
         [--files] [--samples DIR] [--svg FILE]

Runs operations of @partd/shuffle over generated records of 100 B, each in a process of its own, and samples
the resident memory of that process. Fails if one takes more than --memory (MB) and 150 MiB, or finds
something else than was put in. WORK: group, group-one-key, group-huge, sort, sort-huge, join, distinct, aggregate;
default all. The huge ones have a record of 200 MB in their midst.

--files    read a file of a tenth of the bytes ten times, as threads do, in place of a stream
--samples  a directory that keeps each run; the picture is drawn of all in it
--svg      the picture: resident memory over time`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    gigabytes: { type: "string", default: "10" },
    keys: { type: "string", default: "10000000" },
    memory: { type: "string", default: "256" },
    files: { type: "boolean", default: false },
    samples: { type: "string" },
    svg: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log(USAGE);
  process.exit();
}

const WORKS = [
  "group",
  "group-one-key",
  "group-huge",
  "sort",
  "sort-huge",
  "join",
  "distinct",
  "aggregate",
];
const works = positionals.length > 0 ? positionals : options.svg && options.samples ? [] : WORKS;
const records = (Number(options.gigabytes) * 1e9) / LINE_BYTES;
const keys = Number(options.keys);
const memory = Number(options.memory) * 1e6;
const allowed = memory + 150 * 2 ** 20;
/** Of each curve. */
const POINTS = 150;
const MB = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

const dir = mkdtempSync(join(tmpdir(), "shuffle-memory-"));
const runs: MeasuredRun[] = [];
try {
  const file = options.files ? await writeLines() : undefined;
  for (const work of works) {
    const run = await measure(work, file);
    runs.push(run);
    const { seconds, peak, bytesSpilled } = run;
    console.log(
      `${work.padEnd(14)} peak ${MB(peak)} of ${MB(allowed)}, spilled ${MB(bytesSpilled)}, ${seconds.toFixed(0)} s`,
    );
    if (peak > allowed) process.exitCode = 1;
    if (options.samples) {
      mkdirSync(options.samples, { recursive: true });
      writeFileSync(join(options.samples, `${work}.json`), JSON.stringify(run));
    }
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
if (options.svg) writeFileSync(options.svg, drawRuns(keptRuns(), memory, allowed));

/** A tenth of the records. */
async function writeLines(): Promise<string> {
  const path = join(dir, "tenth.ndjson");
  await using file = await open(path, "w");
  for await (const piece of linesOf(records / 10, keys)) await file.writeFile(piece);
  return path;
}

async function measure(work: string, file: string | undefined): Promise<MeasuredRun> {
  const program = fileURLToPath(new URL("shuffle-work.js", import.meta.url));
  const given = { work, records, keys, memory, dir, ...(file && { file }) };
  const args = Object.entries(given).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const begun = performance.now();
  const samples: number[] = [];
  const sampling = setInterval(() => {
    const resident = residentMemory(child.pid!);
    if (resident !== undefined) samples.push(resident);
  }, 100);
  let printed = "";
  for await (const text of child.stdout.setEncoding("utf8")) printed += text;
  const [code] = await ended;
  clearInterval(sampling);
  if (code !== 0) throw new Error(`${work} ended with ${code}`);
  const { found, expected, peak, bytesSpilled } = JSON.parse(printed);
  if (found !== expected) throw new Error(`${work} found ${found}, not ${expected}`);
  const seconds = (performance.now() - begun) / 1e3;
  return { work, seconds, peak, bytesSpilled, samples: thinned(samples) };
}

function residentMemory(pid: number): number | undefined {
  try {
    const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return found ? Number(found[1]) * 1024 : undefined;
  } catch {
    return undefined; // It has just ended.
  }
}

/** The most of each of {@link POINTS} stretches of time. */
function thinned(samples: readonly number[]): number[] {
  const length = Math.max(1, Math.ceil(samples.length / POINTS));
  const thin: number[] = [];
  for (let from = 0; from < samples.length; from += length) {
    thin.push(Math.max(...samples.slice(from, from + length)));
  }
  return thin;
}

function keptRuns(): MeasuredRun[] {
  const { samples } = options;
  if (!samples) return runs;
  return WORKS.map((work) => join(samples, `${work}.json`))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, "utf8")));
}

/** A run of one operation; `samples` are bytes of resident memory, evenly spaced in time. */
interface MeasuredRun {
  readonly work: string;
  readonly seconds: number;
  readonly peak: number;
  readonly bytesSpilled: number;
  readonly samples: readonly number[];
}

/** Draws the resident memory of each run, from its beginning to its end, as an SVG picture. */
function drawRuns(runs: readonly MeasuredRun[], memory: number, allowed: number): string {
  const most = allowed * 1.1;
  const y = (bytes: number) => Math.round(TOP + (1 - bytes / most) * HEIGHT);
  const mark = (bytes: number, label: string) =>
    `<path d="M${LEFT} ${y(bytes)}h${WIDTH}" stroke="#888" stroke-dasharray="4 4"/>
<text x="${LEFT + 6}" y="${y(bytes) - 5}" fill="#666">${label}, ${Math.round(bytes / 1e6)} MB</text>`;
  const curve = ({ samples }: MeasuredRun, colour: string) => {
    const x = (i: number) => Math.round(LEFT + (i / Math.max(1, samples.length - 1)) * WIDTH);
    const points = samples.map((bytes, i) => `${x(i)},${y(bytes)}`).join(" ");
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points}"/>`;
  };
  const label = ({ work, peak }: MeasuredRun, index: number) => {
    const x = LEFT + (index % 4) * (WIDTH / 4);
    const line = TOP + HEIGHT + 40 + 18 * Math.floor(index / 4);
    return `<text x="${x}" y="${line}" fill="${COLOURS[index]}">${work}, ${Math.round(peak / 1e6)} MB</text>`;
  };
  const rows = Math.ceil(runs.length / 4);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + 20} ${TOP + HEIGHT + 40 + 18 * rows}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="20" font-size="14">Resident memory of each run, from its beginning to its end</text>
${mark(memory, "memory")}
${mark(allowed, "memory + 150 MiB")}
${runs.map((run, index) => curve(run, COLOURS[index]!)).join("\n")}
<path d="M${LEFT} ${TOP}v${HEIGHT}h${WIDTH}" fill="none" stroke="#333"/>
<text x="${LEFT - 8}" y="${TOP + HEIGHT}" text-anchor="end">0</text>
<text x="${LEFT}" y="${TOP + HEIGHT + 18}">begin</text>
<text x="${LEFT + WIDTH}" y="${TOP + HEIGHT + 18}" text-anchor="end">end</text>
${runs.map(label).join("\n")}
</svg>
`;
}

const LEFT = 40;
const TOP = 34;
const WIDTH = 700;
const HEIGHT = 260;
const COLOURS = [
  "#c0392b",
  "#d35400",
  "#b7950b",
  "#239b56",
  "#148f77",
  "#2471a3",
  "#6c3483",
  "#212f3c",
];
