#!/usr/bin/env node
// Runs each command in a terminal (tmux), as a person would, and keeps what the screen showed in
// docs/screens.md. It needs tmux; run it when the terminal's output has changed.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("bin/partd.mjs", import.meta.url));
const DATA = fileURLToPath(new URL("node_modules/vega-datasets/data/", import.meta.url));
const FILES = ["flights-3m.parquet", "movies.json", "airports.csv"];
const SESSION = `partd-screens-${process.pid}`;
const PROMPT = "$ ";

/** What a bar shows that is well under way. */
const UNDER_WAY = /[2-9]\d%/;

/** What is typed, and what the screen shows when it is taken while the command runs. */
const WORK = [
  [
    "From Parquet to CSV, in order:",
    "partd sort flights-3m.parquet --by origin,destination -o flights.csv",
    UNDER_WAY,
  ],
  ["What is in a file, by one of its fields:", "partd count flights.csv --by origin --top 5"],
  ["A mistyped field:", "partd count flights.csv --by orign"],
  [
    "Sums and means, one line a group:",
    "partd group flights.csv --by origin --count --mean delay --to csv | head -4",
  ],
  [
    "One file a value. The bar while it runs, and what is said in the end:",
    "partd split flights.csv --by origin --out by-origin",
    UNDER_WAY,
  ],
  ["The same again overwrites nothing:", "partd split flights.csv --by origin --out by-origin"],
  [
    "Sorted, out of core where memory is short:",
    "partd sort flights.csv --by delay:desc:numeric --memory 64MB -o sorted.ndjson",
    UNDER_WAY,
  ],
  ["Its first lines:", "head -3 sorted.ndjson"],
  [
    "Joined with a table of airports:",
    "partd join flights.csv airports.csv --on origin=iata --to csv | head -3",
  ],
  [
    "The first of each:",
    "partd distinct movies.json --by 'Major Genre' --to csv | cut -c1-72 | head -4",
  ],
  [
    "A data set, as programs use it:",
    'echo \'{"title":"a line"}\' | partd append events ann --codec json',
    undefined,
    "partd ls events",
    "partd stat events",
    "partd get events ann --codec json",
  ],
  ["What this machine has:", "partd doctor"],
  ["Help begins with examples:", "partd sort --help | head -20"],
];

function tmux(...words) {
  const { status, stdout, stderr, error } = spawnSync("tmux", words, { encoding: "utf8" });
  if (error?.code === "ENOENT") throw new Error("tmux is missing; on Debian: apt-get install tmux");
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

const screen = () => tmux("capture-pane", "-p", "-t", SESSION).trimEnd();

/** The screen, once the prompt is back below the command. */
async function settled() {
  for (;;) {
    const lines = screen().split("\n");
    if (lines.length > 1 && lines.at(-1) === PROMPT.trim()) return lines.slice(0, -1).join("\n");
    await setTimeout(50);
  }
}

async function shot(command, during) {
  tmux("send-keys", "-t", SESSION, "clear", "Enter");
  while (screen() !== PROMPT.trim()) await setTimeout(20);
  tmux("send-keys", "-t", SESSION, "-l", command);
  tmux("send-keys", "-t", SESSION, "Enter");
  const shots = [];
  while (during) {
    const seen = screen();
    if (during.test(seen)) shots.push(seen);
    if (during.test(seen) || seen.endsWith(`\n${PROMPT.trim()}`)) break;
    await setTimeout(20);
  }
  shots.push(await settled());
  return shots;
}

const cwd = mkdtempSync(join(tmpdir(), "partd-screens-"));
const text = [
  "# Screens",
  "",
  "What a person sees who runs the commands in a terminal of 100 columns, in a folder with three files of vega-datasets: three million flights among them.",
  "`packages/cli/screens.mjs` makes this page.",
];
try {
  for (const name of FILES) copyFileSync(join(DATA, name), join(cwd, name));
  writeFileSync(join(cwd, "partd"), `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`, {
    mode: 0o755,
  });
  const env = `PATH="${cwd}:$PATH" PS1='${PROMPT}' HISTFILE=`;
  tmux(
    "new-session",
    "-d",
    "-s",
    SESSION,
    "-x",
    "100",
    "-y",
    "30",
    "-c",
    cwd,
    `${env} bash --norc`,
  );
  for (const [title, first, during, ...more] of WORK) {
    text.push("", title, "", "```text");
    const shots = await shot(first, during);
    for (const command of more) shots.push(...(await shot(command)));
    text.push(shots.join("\n\n"), "```");
  }
} finally {
  spawnSync("tmux", ["kill-session", "-t", SESSION]);
  rmSync(cwd, { recursive: true, force: true });
}
writeFileSync(
  fileURLToPath(new URL("../../docs/screens.md", import.meta.url)),
  `${text.join("\n")}\n`,
);
