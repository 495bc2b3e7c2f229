import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { EVENTS, eventsFile, usersFile } from "./shuffle-data.js";
import type { NodeSide, Suite, Work } from "./suite.js";

const MB = EVENTS.bytes / 1e6;
const { users, lines, totalMs } = EVENTS;

/** Whole processes, from their start to their end, over the same file; ratios are of rates: 1 / 0.35 is 2.86. */
export const shuffle: Suite = {
  name: "shuffle",
  works: [
    work(
      "240 MB of NDJSON by user into 64 files",
      {
        partd: node("split", undefined, expectWhole),
        "DuckDB, raw lines": node("split by DuckDB", undefined, expectWhole),
        "cat, the limit": command("cat", async (directory) => [
          "sh",
          "-c",
          `cat '${await eventsFile()}' > '${join(directory, "copy")}'`,
        ]),
      },
      { "DuckDB, raw lines": 1 / 0.35 },
    ),
    work(
      "count by user",
      {
        partd: node("count", [users, lines]),
        DuckDB: node("count by DuckDB", [users, lines]),
        mawk: command(
          "mawk",
          async () => [
            "mawk",
            '-F"',
            '{ n[$8]++ } END { for (u in n) { c++; s += n[u] } printf "[%d,%d]\\n", c, s }',
            await eventsFile(),
          ],
          [users, lines],
        ),
      },
      { DuckDB: 1 / 0.9 },
    ),
    work(
      "count, sum, min, max, mean by user",
      {
        partd: node("aggregate", [users, totalMs]),
        DuckDB: node("aggregate by DuckDB", [users, totalMs]),
      },
      { DuckDB: 1 },
    ),
    work(
      "join with 24 MB",
      {
        partd: node("join"),
        DuckDB: node("join by DuckDB"),
      },
      { DuckDB: 1 / 0.7 },
    ),
    work(
      "distinct by user",
      {
        partd: node("distinct", [users]),
        DuckDB: node("distinct by DuckDB", [users]),
      },
      { DuckDB: 1 },
    ),
    work(
      "sort by a number",
      {
        partd: node("sort", undefined, expectSorted),
        "DuckDB, raw lines": node("sort by DuckDB", undefined, expectSorted),
      },
      { "DuckDB, raw lines": 1 / 1.5 },
    ),
    work(
      "the README's example",
      {
        partd: node("README's example", [users, totalMs]),
        "read, parse, sum in a Map": node("a Map", [users, totalMs]),
      },
      { "read, parse, sum in a Map": 1 / 1.5 },
    ),
    work(
      "groupBy with a function over parsed records",
      {
        partd: node("by a function", [users, totalMs]),
        "read, parse, sum in a Map": node("a Map", [users, totalMs]),
      },
      { "read, parse, sum in a Map": 1 / 3 },
    ),
    {
      ...work("one file a value, 98,603 values", { partd: node("split into all") }, {}),
      rounds: 1,
    },
  ],
};

export function work(
  title: string,
  sides: Readonly<Record<string, NodeSide>>,
  targets: Readonly<Record<string, number>>,
): Work {
  return {
    title,
    unit: "MB",
    count: MB,
    sides,
    targets: Object.entries(targets).map(([against, ratio]) => ({ against, ratio })),
  };
}

const program = fileURLToPath(new URL("./shuffle-process.js", import.meta.url));

export function node(
  side: string,
  expected?: readonly number[],
  check?: (directory: string) => void,
): NodeSide {
  const arguments_ = async (directory: string) => [process.execPath, program, side, directory];
  return command(side, arguments_, expected, check);
}

/** @param expected what it prints, as JSON. */
export function command(
  name: string,
  toArguments: (directory: string) => Promise<readonly string[]>,
  expected?: readonly number[],
  check?: (directory: string) => void,
): NodeSide {
  return async (directory) => {
    // The data are made before the clock runs.
    await eventsFile();
    await usersFile();
    const timed = [
      "-c",
      'TIMEFORMAT="%U %S"; time "$@"',
      "bash",
      ...(await toArguments(directory)),
    ];
    let cpuSeconds = 0;
    return {
      async run() {
        const child = spawn("bash", timed, { stdio: ["ignore", "pipe", "pipe"] });
        const [output, errors, [code]] = await Promise.all([
          text(child.stdout),
          text(child.stderr),
          once(child, "exit"),
        ]);
        if (code !== 0) throw new Error(`${name} failed: ${errors}`);
        const [user = 0, system = 0] = (errors.trim().split("\n").at(-1) ?? "")
          .split(" ")
          .map(Number);
        cpuSeconds = user + system;
        if (expected && output.trim() !== JSON.stringify(expected)) {
          throw new Error(`${name} found ${output}, not ${JSON.stringify(expected)}`);
        }
      },
      cpuSeconds: () => cpuSeconds,
      done: async () => check?.(directory),
    };
  };
}

/** All bytes of the input are in the files. */
export function expectWhole(directory: string): void {
  const out = join(directory, "out");
  let bytes = 0;
  for (const name of readdirSync(out, { recursive: true, encoding: "utf8" })) {
    const found = statSync(join(out, name));
    if (found.isFile()) bytes += found.size;
  }
  if (Math.abs(bytes - EVENTS.bytes) > 1000) throw new Error(`${bytes} bytes were written`);
}

export function expectSorted(directory: string): void {
  let last = 0;
  let count = 0;
  for (const line of readFileSync(join(directory, "sorted"), "latin1").split("\n")) {
    const [, ms] = /"ms":(\d+)/.exec(line) ?? [];
    if (ms === undefined) continue;
    if (Number(ms) < last) throw new Error(`${ms} stands behind ${last}`);
    last = Number(ms);
    count++;
  }
  if (count !== lines) throw new Error(`${count} lines are sorted`);
}
