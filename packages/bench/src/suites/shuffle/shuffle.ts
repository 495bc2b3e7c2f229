import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { debianPython } from "../../run/debian-python.js";
import type { NodeSide, Suite, Work } from "../../run/suite.js";
import { IS_QUICK } from "../quick.js";
import {
  csvFile,
  EVENTS,
  eventsFile,
  manyUsersFile,
  tenfoldFile,
  USERS_BYTES,
  usersFile,
} from "./data.js";

const MB = EVENTS.bytes / 1e6;
const { users, lines, totalMs } = EVENTS;
/** Bytes of the joined lines. */
const JOINED = [IS_QUICK ? 37_704_941 : 480_006_789];
const USERS_MB = USERS_BYTES / 1e6;

/** Whole processes, from their start to their end, over the same file; ratios are of rates: 1 / 0.35 is 2.86. */
export const shuffle: Suite = {
  name: "shuffle",
  judgesFullSizeAlone: true,
  works: [
    work(
      `${MB} MB of NDJSON by user into 64 files`,
      {
        partd: node("split", undefined, expectWhole),
        "DuckDB, raw lines": node("split by DuckDB", undefined, expectWhole),
        "Python's partd": command(
          "Python's partd",
          async (directory) => [
            debianPython(),
            fileURLToPath(new URL("../../../python/shuffle.py", import.meta.url)),
            await eventsFile(),
            join(directory, "out"),
          ],
          undefined,
          expectWhole,
        ),
        "cat, the limit": command("cat", async (directory) => [
          "sh",
          "-c",
          `cat '${await eventsFile()}' > '${join(directory, "copy")}'`,
        ]),
      },
      { "DuckDB, raw lines": 1 / 0.35, "Python's partd": 1 / 0.1 },
    ),
    work(
      `${MB} MB as CSV by user into 64 files`,
      {
        partd: node("split of CSV", [64], expectRows, csvFile),
        "DuckDB, raw lines": node("split of CSV by DuckDB", [64], expectRows, csvFile),
      },
      { "DuckDB, raw lines": 1 / 0.3 },
      { isLong: true },
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
        Miller: command(
          "Miller",
          async () => [
            "sh",
            "-c",
            `echo "[$(mlr --ijsonl --onidx --ofs , count-distinct -f user \\
              then stats1 -a count,sum -f count '${await eventsFile()}')]"`,
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
      `join with ${USERS_MB} MB into a file of lines`,
      {
        partd: node("join into a file", JOINED),
        "DuckDB, raw lines": node("join into a file by DuckDB", JOINED),
      },
      { "DuckDB, raw lines": 1 / 0.7 },
    ),
    work(
      `join with ${USERS_MB} MB, each pair parsed here, there only summed`,
      {
        partd: node("join"),
        DuckDB: node("join by DuckDB"),
      },
      {},
      { isLong: true },
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
      { isLong: true },
    ),
    {
      ...work(
        "one file a value, 98,603 values",
        { partd: node("split into all") },
        {},
        { isLong: true },
      ),
      rounds: 1,
    },
    ...(process.env["BENCH_HUGE"] ? hugeWorks() : []),
  ],
};

/** Gigabytes, with 512 MB of memory. */
function hugeWorks(): Work[] {
  return [
    work(
      "2.4 GB of NDJSON by user into 64 files",
      {
        partd: node("split of 2.4 GB", [10 * 240_000_069], undefined, tenfoldFile),
        "DuckDB, raw lines": node("split of 2.4 GB by DuckDB", undefined, undefined, tenfoldFile),
      },
      { "DuckDB, raw lines": 1 / 0.4 },
      { megabytes: 10 * MB },
    ),
    work(
      "join of 2.4 GB with 2.4 GB into a file of lines",
      {
        partd: node("join of 2.4 GB into a file", undefined, undefined, manyUsersFile),
        "DuckDB, raw lines": node(
          "join of 2.4 GB into a file by DuckDB",
          undefined,
          undefined,
          manyUsersFile,
        ),
      },
      { "DuckDB, raw lines": 1 / 0.8 },
      { megabytes: 20 * MB },
    ),
  ].map((huge) => ({ ...huge, rounds: 1, warmups: 0 }));
}

export function work(
  title: string,
  sides: Readonly<Record<string, NodeSide>>,
  targets: Readonly<Record<string, number>>,
  { megabytes = MB, isLong = false } = {},
): Work {
  return {
    title,
    isLong,
    unit: "MB",
    count: megabytes,
    sides,
    targets: Object.entries(targets).map(([against, ratio]) => ({ against, ratio })),
  };
}

const program = fileURLToPath(new URL("./process.js", import.meta.url));

export function node(
  side: string,
  expected?: readonly number[],
  check?: (directory: string) => void,
  input?: () => Promise<string>,
): NodeSide {
  const arguments_ = async (directory: string) => [process.execPath, program, side, directory];
  return command(side, arguments_, expected, check, input);
}

/**
 * @param expected what it prints, as JSON.
 * @param input makes a file that it reads beside the events and users.
 */
export function command(
  name: string,
  toArguments: (directory: string) => Promise<readonly string[]>,
  expected?: readonly number[],
  check?: (directory: string) => void,
  input?: () => Promise<string>,
): NodeSide {
  return async (directory) => {
    // The data are made before the clock runs.
    await eventsFile();
    await usersFile();
    await input?.();
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

/** All rows are in the files, behind a header or not. */
function expectRows(directory: string): void {
  const out = join(directory, "out");
  let rows = 0;
  for (const name of readdirSync(out, { recursive: true, encoding: "utf8" })) {
    const path = join(out, name);
    if (!statSync(path).isFile()) continue;
    const bytes = readFileSync(path);
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) rows++;
  }
  if (rows !== lines + 64 && rows !== lines + 1) throw new Error(`${rows} rows were written`);
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
