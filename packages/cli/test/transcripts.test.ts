import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { describeReal, realPart } from "tooling/real-part";
import { scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);
const DATA = join(dirname(createRequire(import.meta.url).resolve("vega-datasets")), "../data");
const data = (name: string) => join(DATA, name);

/** What the command prints. */
async function ours(...words: string[]): Promise<string> {
  const { code, out, err } = await runner.run([...words, "-q"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out;
}

/** What a line of shell prints. Bash takes a socket as its input for a login, and would read a .bashrc. */
function theirs(line: string): string {
  const { status, stdout, stderr } = spawnSync("bash", ["--norc", "-c", line], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C.UTF-8", DATA },
    maxBuffer: 1 << 28,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

const lines = (text: string) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .sort();
const json = (text: string) =>
  text
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

describe("GNU sort, awk and cut", () => {
  const weather = data("seattle-weather.csv");
  const body = 'tail -n +2 "$DATA/seattle-weather.csv"';

  test.each([
    ["weather", "-k6,6"],
    ["weather:desc,date", "-k6,6r -k1,1"],
    ["temp_max:numeric", "-k3,3g"],
    ["precipitation:desc:numeric,temp_min:numeric", "-k2,2gr -k4,4g"],
  ])("sort --by %s", async (by, keys) => {
    const sorted = (await ours("sort", weather, "--by", by)).replace(/^.*\n/, "");
    expect(sorted).toBe(theirs(`${body} | LC_ALL=C sort -s -t, ${keys}`));
  });

  test("sort in 2 MB of memory, of a file of several times that", async () => {
    theirs(
      'awk \'BEGIN { srand(7); for (i = 0; i < 60000; i++) printf "%d,%s,%d\\n", rand() * 3e4, substr("abcdefghijklmnopqrstuvwxyz", 1, rand() * 26), i }\' > body; (echo n,text,i; cat body) > big.csv',
    );
    await ours("sort", "big.csv", "--by", "text,n:numeric", "-o", "sorted.csv", "--memory", "2MB");
    theirs(
      "LC_ALL=C sort -s -t, -k2,2 -k1,1g body > expected; tail -n +2 sorted.csv | cmp - expected",
    );
    await ours("distinct", "big.csv", "--by", "text", "-o", "first.csv", "--memory", "2MB");
    theirs("tail -n +2 first.csv | sort > a; awk -F, '!seen[$2]++' body | sort | cmp - a");
    await ours("count", "big.csv", "--by", "n", "-o", "counts.csv", "--memory", "2MB");
    theirs(
      "tail -n +2 counts.csv | sort > a; cut -d, -f1 body | sort | uniq -c | awk '{ print $2 \",\" $1 }' | sort | cmp - a",
    );
    await ours(
      "split",
      "big.csv",
      "--by",
      "text",
      "--out",
      "texts",
      "--memory",
      "2MB",
      "--name",
      "t-{text}.csv",
    );
    theirs(
      'mkdir parts; awk -F, \'{ f = "parts/t-" ($2 == "" ? "empty" : $2) ".csv"; if (!seen[f]++) print "n,text,i" > f; print > f }\' body; rm -f texts/_names.ndjson; diff -r parts texts',
    );
  });

  test("distinct and count", async () => {
    expect(await ours("distinct", weather, "--by", "weather")).toBe(
      theirs(`awk -F, 'NR == 1 || !seen[$6]++' "$DATA/seattle-weather.csv"`),
    );
    expect(lines(await ours("count", weather, "--by", "weather"))).toEqual(
      lines(
        `weather,count\n${theirs(`${body} | cut -d, -f6 | sort | uniq -c | awk '{ print $2 "," $1 }'`)}`,
      ),
    );
  });
});

describeReal(realPart.program("mlr", "miller"), "Miller", () => {
  test("sums by group", async () => {
    const file = data("birdstrikes.csv");
    const sums = json(
      await ours(
        "group",
        file,
        "--by",
        "Origin State",
        "--to",
        "ndjson",
        "--count",
        "--sum",
        "Speed IAS in knots",
        "--mean",
        "Speed IAS in knots",
        "--max",
        "Cost Total $",
      ),
    );
    const expected = JSON.parse(
      theirs(
        `mlr --icsv --ojson stats1 -a count,sum,mean,max -f 'Speed IAS in knots,Cost Total $' -g 'Origin State' "$DATA/birdstrikes.csv"`,
      ),
    ) as Record<string, number>[];
    expect(sums).toHaveLength(expected.length);
    for (const row of expected) {
      const found = sums.find((one) => one["Origin State"] === String(row["Origin State"]));
      expect(found["max_Cost Total $"]).toBe(row["Cost Total $_max"]);
      expect(found["sum_Speed IAS in knots"]).toBe(row["Speed IAS in knots_sum"] ?? 0);
      expect(found["mean_Speed IAS in knots"] ?? 0).toBeCloseTo(
        row["Speed IAS in knots_mean"] ?? 0,
        9,
      );
    }
  });

  test("join", async () => {
    for (const [type, flags] of [
      ["inner", ""],
      ["left", "--ul"],
      ["anti", "--np --ul"],
    ] as const) {
      const joined = await ours(
        "join",
        data("lookup_people.csv"),
        data("lookup_groups.csv"),
        "--on",
        "name=person",
        "--type",
        type,
        "--to",
        "ndjson",
      );
      const same = theirs(
        `mlr --icsv --ojsonl join ${flags} -j name -l name -r person -f "$DATA/lookup_people.csv" "$DATA/lookup_groups.csv"`,
      );
      const texts = (rows: Record<string, unknown>[]) =>
        rows
          .map((row) =>
            JSON.stringify(
              Object.entries(row)
                .filter(([, v]) => v !== "")
                .map(([k, v]) => [k, String(v)])
                .sort(),
            ),
          )
          .sort();
      expect(texts(json(joined))).toEqual(texts(json(same)));
    }
  });

  test("split, of rows with quotes", async () => {
    await ours(
      "split",
      data("airports.csv"),
      "--by",
      "state",
      "--out",
      "states",
      "--name",
      "split_{state}.csv",
    );
    theirs(`mkdir mlr && cd mlr && mlr --csv split -g state "$DATA/airports.csv"`);
    const names = readdirSync(join(cwd, "mlr"));
    expect(names.length).toBeGreaterThan(50);
    for (const name of names) {
      const [a, b] = ["states", "mlr"].map((folder) =>
        theirs(`mlr --icsv --ojsonl cat ${folder}/${name}`),
      );
      expect([name, a]).toEqual([name, b]);
    }
  });

  test("quoted newlines, quotes and delimiters", async () => {
    const cell = (i: number) =>
      `"${["a\nb", 'say ""hi""', "x,y", "", "\r\n", "é\tü"][i % 6]}${i % 7}"`;
    const rows = Array.from({ length: 3000 }, (_, i) => `${cell(i)},${i % 13},${cell(i * 5)}\r\n`);
    writeFileSync(join(cwd, "q.csv"), `k,n,"a ""name"""\r\n${rows.join("")}`);
    writeFileSync(join(cwd, "s.csv"), await ours("sort", "q.csv", "--by", "k,n:numeric"));
    expect(theirs("mlr --icsv --ojsonl cat s.csv")).toBe(
      theirs("mlr --icsv --ojsonl sort -c k -nf n q.csv"),
    );
  });
});

describe("JSON, by JSON.parse", () => {
  const movies = JSON.parse(readFileSync(data("movies.json"), "utf8")) as Record<string, unknown>[];

  test("an array goes through record by record", async () => {
    const all = json(await ours("group", data("movies.json"), "--by", "Major Genre"));
    const id = (movie: unknown) => JSON.stringify(movie);
    expect(all.map(id).sort()).toEqual(movies.map(id).sort());
  });

  test("count by a field that is null in some", async () => {
    const counts = new Map<unknown, number>();
    for (const { Director } of movies) counts.set(Director, (counts.get(Director) ?? 0) + 1);
    const found = json(await ours("count", data("movies.json"), "--by", "Director"));
    expect(new Map(found.map(({ Director, count }) => [Director, count]))).toEqual(counts);
    const order = found.map(({ count }) => count);
    expect(order).toEqual([...order].sort((a, b) => b - a));
  });

  test("sums of flights", async () => {
    const flights = JSON.parse(readFileSync(data("flights-10k.json"), "utf8")) as {
      delay: number;
      origin: string;
    }[];
    const sums: Record<string, [number, number, number]> = {};
    for (const { origin, delay } of flights) {
      const [n, total, worst] = sums[origin] ?? [0, 0, Number.NEGATIVE_INFINITY];
      sums[origin] = [n + 1, total + delay, Math.max(worst, delay)];
    }
    const found = json(
      await ours(
        "group",
        data("flights-10k.json"),
        "--by",
        "origin",
        "--count",
        "--sum",
        "delay",
        "--max",
        "delay",
      ),
    );
    expect(
      Object.fromEntries(
        found.map((row) => [row.origin, [row.count, row.sum_delay, row.max_delay]]),
      ),
    ).toEqual(sums);
  });
});
