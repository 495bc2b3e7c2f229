import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { NodeSide, Suite } from "../run/suite.js";
import { EVENTS, eventsFile, usersFile } from "./shuffle/data.js";
import { command, expectSorted, expectWhole, node, work } from "./shuffle/shuffle.js";

/** The works of the suite shuffle by way of the command: what reading options and writing files adds. */
export const cli: Suite = {
  name: "cli",
  judgesFullSizeAlone: true,
  works: [
    work(
      `${EVENTS.bytes / 1e6} MB of NDJSON by user into 64 files`,
      {
        "partd split": partd(
          (events, out) => ["split", events, "--by", "user", "--out", out, "--partitions", "64"],
          expectWhole,
        ),
        "@partd/shuffle": node("split", undefined, expectWhole),
        "DuckDB, raw lines": node("split by DuckDB", undefined, expectWhole),
      },
      { "@partd/shuffle": 1 / 1.1, "DuckDB, raw lines": 1 / 0.4 },
    ),
    work(
      "count by user",
      {
        "partd count": partd((events, out) => ["count", events, "--by", "user", "-o", out]),
        "@partd/shuffle": node("count"),
        DuckDB: node("count by DuckDB"),
      },
      { "@partd/shuffle": 1 / 1.1 },
    ),
    work(
      "sum and max by user",
      {
        "partd group": partd((events, out) => [
          ...["group", events, "--by", "user", "--sum", "ms", "--max", "ms", "-o", out],
        ]),
        "@partd/shuffle": node("aggregate"),
      },
      { "@partd/shuffle": 1 / 1.1 },
      { isLong: true },
    ),
    work(
      "sort by a number",
      {
        "partd sort": partd(
          (events, out) => ["sort", events, "--by", "ms", "-o", join(dirname(out), "sorted")],
          expectSorted,
        ),
        "@partd/shuffle": node("sort", undefined, expectSorted),
      },
      { "@partd/shuffle": 1 / 1.1 },
    ),
    work(
      "distinct by user",
      {
        "partd distinct": partd((events, out) => ["distinct", events, "--by", "user", "-o", out]),
        "@partd/shuffle": node("distinct"),
      },
      { "@partd/shuffle": 1 / 1.1 },
      { isLong: true },
    ),
    work("starting up: --help", { "partd --help": partd(() => ["--help"]) }, {}),
  ],
};

const bin = join(
  dirname(createRequire(import.meta.url).resolve("@partd/cli/package.json")),
  "bin/partd.mjs",
);

/** @param words of the command, given the events and a path for what comes out. */
function partd(
  words: (events: string, out: string) => readonly string[],
  check?: (directory: string) => void,
): NodeSide {
  const line = async (directory: string) => {
    await usersFile();
    const all = words(await eventsFile(), join(directory, "out"));
    return [process.execPath, bin, ...all, ...(all.length > 1 ? ["-q"] : [])];
  };
  return command("partd", line, undefined, check);
}
