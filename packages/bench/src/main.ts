#!/usr/bin/env node
import { writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { changesSince, type SavedRun, type SavedWork } from "./run/comparison.js";
import { runWork, type SideResult } from "./run/run.js";
import { Scratch } from "./run/scratch.js";
import type { Target, Work } from "./run/suite.js";
import { loadSuite, suiteNames } from "./suites.js";

const HELP = `Compares partd with its peers and with the limit of the machine, side by side.

Usage: npm run bench -- [SUITE ...] [options]

Suites: ${suiteNames.join(", ")} (default: all)

Options:
  --rounds N    timed rounds of each work (default 5, or what the work says)
  --only TEXT   only works whose title holds TEXT
  --side NAME   only sides of that name; may be given several times
  --in DIR      where stores put their files (default: ${tmpdir()}); a file system in memory shows
                what the stores cost alone
  --quick       for a first look, in less than three minutes for all suites: less data, our side and
                those of the targets, and at most three rounds of each work, of which none begins
                after a second; long works, and such as are like others, are left out
  --huge        works that take an hour, too: 20,000,000 keys in the suite keys
  --against FILE
                say what changed beyond the noise since the run that --json wrote to FILE
  --json FILE   write all figures to FILE too
  --markdown FILE
                write the tables to FILE as a page
  --help

Examples:
  npm run bench -- file
  npm run bench -- file --only "1,000 keys" --rounds 11
  npm run bench -- file --json before.json
  npm run bench -- file --against before.json
  npm run bench -- keys --huge --only "000,000 random keys" --side LogStore
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string" },
    only: { type: "string" },
    side: { type: "string", multiple: true },
    in: { type: "string", default: tmpdir() },
    quick: { type: "boolean" },
    huge: { type: "boolean" },
    against: { type: "string" },
    json: { type: "string" },
    markdown: { type: "string" },
    help: { type: "boolean" },
  },
});

if (options.help) {
  console.log(HELP);
} else {
  const rounds = options.rounds === undefined ? undefined : Number(options.rounds);
  const { side: sides } = options;
  const effort = { rounds, sides, quick: options.quick };
  // For the suites, which the processes of the sides load, too.
  if (options.quick) process.env["BENCH_QUICK"] = "1";
  if (options.huge) process.env["BENCH_HUGE"] = "1";
  const works: SavedWork[] = [];
  const printed: string[] = [];
  const print = (text: string) => {
    console.log(text);
    printed.push(text);
  };
  let missed = 0;
  const machine = `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const date = new Date().toISOString().slice(0, 10);
  print(`${machine}, ${date}\n`);
  const scratch = new Scratch(options.in);
  const started: ({ stop(): void } | undefined)[] = [];
  try {
    for (const name of positionals.length > 0 ? positionals : suiteNames) {
      const suite = await loadSuite(name);
      print(`## ${name}\n`);
      started.push(await suite.start?.());
      for (const [index, work] of suite.works.entries()) {
        if (options.only && !work.title.includes(options.only)) continue;
        if (sides && !sides.some((name) => name in work.sides)) continue;
        const results = await runWork(suite, index, scratch, effort);
        missed += results.filter((result) => !isMet(result, results[0] as SideResult)).length;
        works.push({ suite: name, work: work.title, unit: work.unit, count: work.count, results });
        print(table(work, results));
      }
    }
  } finally {
    for (const one of started) one?.stop();
    await scratch.remove();
  }
  print(missed === 0 ? "Every target was met." : `Targets missed: ${missed}.`);
  if (options.against) print(await changesSince(fromCaller(options.against), works));
  if (options.json) {
    const run: SavedRun = { machine, date, works };
    await writeFile(fromCaller(options.json), `${JSON.stringify(run, null, 2)}\n`);
  }
  if (options.markdown) await writeFile(fromCaller(options.markdown), page(positionals, printed));
}

/** npm runs us in this package's folder, and says where it was called. */
function fromCaller(path: string): string {
  return resolve(process.env["INIT_CWD"] ?? ".", path);
}

/** The results of one work as a Markdown table. */
function table(work: Work, results: readonly SideResult[]): string {
  const named = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))];
  const rows = results.map((result, i) => [
    result.name,
    milliseconds(result.medianSeconds),
    milliseconds(result.cpuSeconds),
    ...named.map((name) => result.figures[name] ?? ""),
    `${amount(result.rate)} ${work.unit}/s`,
    i === 0 ? "" : `${result.ratio.toFixed(2)}x`,
    i === 0 || !result.target ? "" : verdict(result, results[0] as SideResult),
    `${Math.min(...result.seconds).toFixed(3)} to ${Math.max(...result.seconds).toFixed(3)} s`,
  ]);
  const head = ["side", "median", "CPU", ...named, "rate", "ours / theirs", "target", "range"];
  return [
    `### ${work.title}`,
    "",
    line(head),
    line(head.map(() => "---")),
    ...rows.map(line),
    "",
  ].join("\n");
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** The tables of a run as a page. */
function page(suites: readonly string[], tables: readonly string[]): string {
  return `${PREFACE.replace("SUITES", suites.join(" "))}\n${tables.join("\n")}\n`;
}

const PREFACE = `# Benchmarks

What \`npm run bench -- SUITES\` printed. The first line of each table is ours; all sides of a table
ran in turn on one machine, each in a process of its own. Times are medians, CPU is that of the side's process, and ratios are taken
round by round. A target that was missed says so. How it is measured: [packages/bench](../packages/bench/README.md).
`;

/** Whether ours reached the target against `theirs`. */
function isMet({ ratio, target }: SideResult, ours: SideResult): boolean {
  return !target || ratio >= target.ratio || ours.busy >= (target.orBusy ?? 2);
}

function verdict(theirs: SideResult, ours: SideResult): string {
  const { ratio, orBusy } = theirs.target as Target;
  const busy = orBusy === undefined ? "" : ` or ${percent(orBusy)} busy: ${percent(ours.busy)}`;
  return `${shown(ratio)}x${busy}, ${isMet(theirs, ours) ? "met" : "MISSED"}`;
}

/** A target below one is a part: 1/11, not 0.0909. */
function shown(ratio: number): string {
  return Number.isInteger(1 / ratio) && ratio < 1
    ? `1/${1 / ratio}`
    : String(Number(ratio.toFixed(2)));
}

function milliseconds(seconds: number): string {
  return `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(0)} %`;
}

function amount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return value.toFixed(value < 10 ? 2 : 0);
}
