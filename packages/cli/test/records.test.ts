import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { BIN, scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);
const run = (words: string[], input?: string | Uint8Array) => runner.run(words, input);
const out = async (words: string[], input?: string | Uint8Array) => {
  const { code, out, err } = await run(words, input);
  const remarks = /^partd: .* (?:records? in|is sorted as text,) .*\n$/;
  expect({ code, err: err.replace(remarks, "") }).toEqual({ code: 0, err: "" });
  return out;
};
const write = (name: string, content: string | Uint8Array) =>
  writeFileSync(join(cwd, name), content);
const read = (...path: string[]) => readFileSync(join(cwd, ...path), "utf8");
const lines = (text: string) => text.split("\n").sort();
const ls = (path: string) => readdirSync(join(cwd, path)).sort();

const EVENTS = [
  '{"user":"ann","ms":12.0,"big":12345678901234567890}',
  '{"user":"bob", "ms":7}',
  '{"user":"ann","ms":30,"at":{"x.y":1}}',
  '{"user":"Ann","ms":null}',
].map((line) => `${line}\n`);
write("e.ndjson", EVENTS.join(""));
write("c.csv", 'k,"a text"\r\nx,"two\nlines, one ""q"""\r\ny,2\r\nx,3');

describe("split", () => {
  test("one file a value, byte for byte, names that no disk confuses", async () => {
    await out(["split", "e.ndjson", "--by", "user", "--out", "users"]);
    const files = ls("users");
    expect(files).toEqual([
      expect.stringMatching(/^Ann~[0-9a-f]{8}\.ndjson$/),
      "_names.ndjson",
      "ann.ndjson",
      "bob.ndjson",
    ]);
    expect(read("users", "ann.ndjson")).toBe(`${EVENTS[0]}${EVENTS[2]}`);
    expect(read("users", files[0] as string)).toBe(EVENTS[3]);
    const table = read("users", "_names.ndjson")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(table).toContainEqual({ file: files[0], key: "Ann" });
    expect(table).toHaveLength(3);
  });

  test("names of fields with braces", async () => {
    const record = '{"a{b}":"x","{c":"y"}\n';
    await out(["split", "-", "--by", "a{b},{c", "--out", "braces"], record);
    expect(ls("braces")).toEqual(["x-y.ndjson"]);
  });

  test("no table where every name tells its value", async () => {
    await out(["split", "-", "--by", "a", "--out", "plain"], '{"a":"x"}\n{"a":"y"}\n');
    expect(ls("plain")).toEqual(["x.ndjson", "y.ndjson"]);
  });

  test("a directory that is there stays the same one, also behind a link", async () => {
    mkdirSync(join(cwd, "there"), { mode: 0o700 });
    symlinkSync("there", join(cwd, "link"));
    symlinkSync("not-there", join(cwd, "loose"));
    const { ino } = statSync(join(cwd, "there"));
    await out(["split", "e.ndjson", "--by", "user", "--out", "link/"]);
    await out(["split", "e.ndjson", "--by", "user", "--out", "link", "--force"]);
    await out(["split", "e.ndjson", "--by", "user", "--out", "loose"]);
    expect(statSync(join(cwd, "link"))).toMatchObject({ ino, mode: 0o40700 });
    expect(ls("there")).toContain("ann.ndjson");
    expect(ls("not-there")).toEqual(ls("there"));
  });

  test("CSV: the header once in each file, also when it is appended to", async () => {
    await out(["split", "c.csv", "--by", "k", "--out", "csv"]);
    expect(read("csv", "x.csv")).toBe('k,"a text"\r\nx,"two\nlines, one ""q"""\r\nx,3\n');
    await out(["split", "c.csv", "--by", "k", "--out", "csv", "--append"]);
    expect(read("csv", "y.csv")).toBe('k,"a text"\r\ny,2\r\ny,2\r\n');
    await out(["split", "c.csv", "--by", "k", "--out", "dropped", "--drop-key", "--max-rows", "1"]);
    expect(ls("dropped")).toEqual(["_names.ndjson", "x.2.csv", "x.csv", "y.csv"]);
    expect(read("dropped", "x.2.csv")).toBe('"a text"\r\n3\n');
    write("one.csv", "k,v\nx,\nx,1\n");
    await out(["split", "one.csv", "--by", "k", "--out", "one", "--drop-key"]);
    expect(read("one", "x.csv")).toBe('v\n""\n1\n'); // A blank line would be no row.
  });

  test("--append: a last line gets its end, an empty file a header, other columns are refused", async () => {
    const append = (words: string[], input: string) =>
      run(["split", "-", "--by", "a", "--out", "grown", "--append", ...words], input);
    mkdirSync(join(cwd, "grown"));
    write("grown/1.ndjson", '{"a":"1"}');
    expect((await append([], '{"a":"1","b":2}\n')).code).toBe(0);
    expect(read("grown/1.ndjson")).toBe('{"a":"1"}\n{"a":"1","b":2}\n');
    write("grown/1.csv", '\uFEFFa,"b\nb"\r\n1,2');
    write("grown/2.csv", "");
    expect((await append(["--from", "csv"], 'a,"b\nb"\n1,3\n2,4\n')).code).toBe(0);
    expect(read("grown/1.csv")).toBe('\uFEFFa,"b\nb"\r\n1,2\n1,3\n');
    expect(read("grown/2.csv")).toBe('a,"b\nb"\n2,4\n');
    for (const other of ["b,a\n3,1\n", "a\n1\n", 'a,"b\nb",c\n1,2,3\n']) {
      const refused = await append(["--from", "csv"], other);
      expect(refused).toMatchObject({ code: 2 });
      expect(refused.err).toContain("1.csv begins with a,");
    }
    expect(read("grown/1.csv")).toBe('\uFEFFa,"b\nb"\r\n1,2\n1,3\n');
  });

  test("templates, several fields, limits of files, keys left out", async () => {
    await out([
      "split",
      "e.ndjson",
      "--by",
      "user,ms",
      "--out",
      "t",
      "--name",
      "{ms} of {user}.txt",
    ]);
    expect(ls("t")).toContain("12 of ann.txt");
    await out(["split", "e.ndjson", "--by", "user", "--out", "small", "--max-bytes", "60"]);
    expect(ls("small").filter((name) => name.startsWith("ann"))).toEqual([
      "ann.2.ndjson",
      "ann.ndjson",
    ]);
    await out(["split", "e.ndjson", "--by", "user", "--out", "without", "--drop-key"]);
    expect(read("without", "ann.ndjson")).toBe(
      '{"ms":12.0,"big":12345678901234567890}\n{"ms":30,"at":{"x.y":1}}\n',
    );
  });

  test("a field that is named twice counts once", async () => {
    await out(["split", "e.ndjson", "--by", "user,user", "--out", "twice", "--partitions", "1"]);
    await out(["split", "e.ndjson", "--by", "user,user", "--out", "twice-named"]);
    expect(ls("twice-named")).toContain("bob.ndjson");
  });

  test("partitions: every record once, a value in one of them", async () => {
    const lines = Array.from({ length: 500 }, (_, i) => `{"id":${i},"k":"k${i % 50}"}\n`);
    await out(["split", "-", "--by", "k", "--out", "parts", "--partitions", "4"], lines.join(""));
    expect(ls("parts")).toEqual([0, 1, 2, 3].map((i) => `part-0000${i}.ndjson`));
    const parts = ls("parts").map((name) => read("parts", name));
    expect(parts.join("").split("\n").sort()).toEqual([...lines.map((l) => l.trim()), ""].sort());
    for (let k = 0; k < 50; k++) {
      expect(parts.filter((part) => part.includes(`"k":"k${k}"`))).toHaveLength(1);
    }
  });

  test("a record without the field: error, skip or a file", async () => {
    const input = '{"a":1}\n{"b":2}\n';
    const failed = await run(["split", "-", "--by", "a", "--out", "m"], input);
    expect(failed).toMatchObject({ code: 1, out: "" });
    expect(failed.err).toContain("standard input:2:1: the record has no field a; --missing skip");
    expect(readdirSync(cwd).filter((name) => /^\.?m(\.|$)/.test(name))).toEqual([]);
    expect(
      (await run(["split", "-", "--by", "a", "--out", "m", "--missing", "skip"], input)).code,
    ).toBe(0);
    expect(ls("m")).toEqual(["1.ndjson", "_names.ndjson"]);
    expect(
      (await run(["split", "-", "--by", "a", "--out", "m2", "--missing", "no-a.ndjson"], input))
        .code,
    ).toBe(0);
    expect(read("no-a.ndjson")).toBe('{"b":2}\n');
  });

  test("--force: what an earlier split left goes by its table, and nothing else does", async () => {
    const split = (input: string, ...words: string[]) =>
      run(["split", "-", "--by", "k", "--out", "again", ...words], input);
    expect((await split('{"k":1}\n{"k":"b"}\n{"k":2}\n')).code).toBe(0);
    expect(ls("again")).toEqual(["1.ndjson", "2.ndjson", "_names.ndjson", "b.ndjson"]);
    write("again/mine.txt", "mine");
    write("again/.hidden.ndjson", "mine");
    expect((await split('{"k":"b"}\n{"k":"c"}\n', "--force")).code).toBe(0);
    expect(ls("again")).toEqual([".hidden.ndjson", "b.ndjson", "c.ndjson", "mine.txt"]);
    // No table: what is left might be anyone's.
    write("b.in", '{"k":"b","n":1}\n');
    const words = ["split", "b.in", "--from", "ndjson", "--by", "k", "--out", "again", "--force"];
    const refused = await run(words);
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toMatch(
      /again holds 1 file that this run does not write, such as c\.ndjson, and no/,
    );
    expect(read("again", "b.ndjson")).toBe('{"k":"b"}\n');
    renameSync(join(cwd, "again/c.ndjson"), join(cwd, "c.away"));
    await out([...words, "--resume"]);
    expect(ls("again")).toEqual([".hidden.ndjson", "b.ndjson", "mine.txt"]);
    expect(read("again", "b.ndjson")).toBe('{"k":"b","n":1}\n');
    // A table is no word for what lies elsewhere.
    write("kept", "kept");
    write("again/_names.ndjson", '{"file":"../kept","key":1}\n{"file":"b.ndjson","key":"b"}\n');
    expect((await split('{"k":"d"}\n', "--force")).code).toBe(0);
    expect(ls("again")).toEqual([".hidden.ndjson", "d.ndjson", "mine.txt"]);
    expect(read("kept")).toBe("kept");
    const fewer = ["split", "b.in", "--from", "ndjson", "--by", "k", "--out", "fewer"];
    await out([...fewer, "--partitions", "5"]);
    const less = await run([...fewer, "--partitions", "3", "--force"]);
    expect(less).toMatchObject({ code: 2 });
    expect(less.err).toContain("2 files that this run does not write, such as part-00003.ndjson");
  });

  test("a directory that holds something needs --append or --force, and keeps what is not replaced", async () => {
    mkdirSync(join(cwd, "full"));
    write("full/mine.txt", "mine");
    write("full/ann.ndjson", "old\n");
    const words = ["split", "e.ndjson", "--by", "user", "--out", "full"];
    expect((await run(words)).code).toBe(2);
    expect(ls("full")).toEqual(["ann.ndjson", "mine.txt"]);
    await out([...words, "--force"]);
    expect(read("full", "ann.ndjson")).toBe(`${EVENTS[0]}${EVENTS[2]}`);
    expect(read("full", "mine.txt")).toBe("mine");
  });
});

describe("group, count, distinct and sort", () => {
  test("group keeps the records of a value together, in order", async () => {
    const grouped = (await out(["group", "e.ndjson", "--by", "user"])).split("\n");
    const ann = grouped.indexOf(EVENTS[0]?.trim() as string);
    expect(grouped[ann + 1]).toBe(EVENTS[2]?.trim());
    expect(grouped.sort()).toEqual([...EVENTS.map((line) => line.trim()), ""].sort());
  });

  test("sums; the first and last values as they are written", async () => {
    const words = [
      "--count",
      "--sum",
      "ms",
      "--min",
      "ms",
      "--max",
      "ms",
      "--mean",
      "ms",
      "--first",
      "big,ms",
    ];
    const rows = (await out(["group", "e.ndjson", "--by", "user", ...words])).trim().split("\n");
    expect(rows).toContain(
      '{"user":"ann","count":2,"sum_ms":42,"min_ms":12,"max_ms":30,"mean_ms":21,"first_big":12345678901234567890,"first_ms":12.0}',
    );
    expect(rows).toContain(
      '{"user":"Ann","count":1,"sum_ms":0,"min_ms":null,"max_ms":null,"mean_ms":null,"first_big":null,"first_ms":null}',
    );
    const csv = await out(
      ["group", "-", "--from", "csv", "--by", "k", "--sum", "v", "--last", "t"],
      'k,v,t\na,1.5,x\na,,"y,z"\n',
    );
    expect(csv).toBe('k,sum_v,last_t\na,1.5,"y,z"\n');
  });

  test("numbers and text of CSV: as people write them, by each record or by its fields", async () => {
    write("n.csv", 'k,v,t\na, 1.50 ,b\na,+2,\na,.5,a\na,007,c\na,"",""\nb,1e3,z\n');
    const sums = ["group", "n.csv", "--by", "k", "--sum", "v", "--mean", "v", "--max", "t,v"];
    const rows = "k,sum_v,max_t,max_v,mean_v\na,11,c,007,2.75\nb,1000,z,1e3,1000\n";
    expect(await out(sums)).toBe(rows);
    const first = (await out([...sums, "--first", "v"])).replace(
      /,(first_v| 1\.50 |" 1\.50 "|1e3)$/gm,
      "",
    );
    expect(first).toBe(rows);
    const mixed = await run(["group", "n.csv", "--by", "k", "--max", "t", "--sum", "t"]);
    expect(mixed).toMatchObject({ code: 1, out: "" });
    expect(mixed.err).toContain('n.csv:2:1: the record has "b" for --sum t');
  });

  test("--min and --max of CSV give a value as it stands in the file, and compare numbers", async () => {
    const forms = [
      String,
      (n: number) => `${n}.0`,
      (n: number) => `00${n}`,
      (n: number) => ` ${n}`,
    ];
    // Plain numbers at first, which the scanner sums up.
    const values = Array.from({ length: 60_000 }, (_, i) => {
      const form = forms[i < 30_000 ? 0 : i % 4] as (n: number) => string;
      return form((i * 7919) % 10_007);
    });
    const best: { [key: string]: { min: string; max: string; sum: number } } = {};
    const rows = values.map((value, i) => {
      const key = `k${i % 50}`;
      best[key] ??= { min: value, max: value, sum: 0 };
      if (Number(value) < Number(best[key].min)) best[key].min = value;
      if (Number(value) > Number(best[key].max)) best[key].max = value;
      best[key].sum += Number(value);
      return i % 2 ? `"${"a".repeat(80)},1",${value},${key}\n` : `,"${value}",${key}\n`;
    });
    write("forms.csv", `"x, y",v,k\n${rows.join("")}`);
    const quoted = (text: string) => (text.startsWith(" ") ? `"${text}"` : text);
    const result = Object.entries(best).map(
      ([key, { min, max, sum }]) => `${key},${sum},${quoted(min)},${quoted(max)}`,
    );
    const expected = lines(["k,sum_v,min_v,max_v", ...result, ""].join("\n"));
    const words = ["group", "forms.csv", "--by", "k", "--min", "v", "--max", "v", "--sum", "v"];
    expect(lines(await out(words))).toEqual(expected);
    const each = lines(await out([...words, "--first", "k"]));
    expect(each.map((line) => line.replace(/,(first_k|k\d+)$/, ""))).toEqual(expected);
    expect(lines(await out([...words, "--memory", "1MB", "--tmp", cwd]))).toEqual(expected);
    expect(
      await out(
        ["group", "-", "--from", "csv", "--min", "v", "--max", "v", "--to", "ndjson"],
        "v\n007\n1.50\n-0\n",
      ),
    ).toBe('{"min_v":-0,"max_v":"007"}\n');
  });

  test("what is not a number is an error with its place", async () => {
    const { code, err } = await run(
      ["group", "-", "--from", "csv", "--by", "k", "--sum", "v"],
      "k,v\na,1\nb,N/A\n",
    );
    expect(code).toBe(1);
    expect(err).toContain(
      `standard input:3:1: the record has "N/A" for --sum v, which is not a number: --null 'N/A' passes it over: "b,N/A"`,
    );
  });

  test("--null: texts and numbers that say that there is no value", async () => {
    const sums = ["--sum", "v", "--min", "v", "--max", "v", "--mean", "v", "--count"];
    const group = (from: string, ...words: string[]) => [
      "group",
      "-",
      "--from",
      from,
      ...sums,
      ...words,
    ];
    const rows = "k\tv\na\t\\N\na\t5\nb\tNA\nb\t-999\nb\t-999.0\na\t3\n";
    const nulls = ["--null", "\\N,NA", "--null", "-999"];
    expect(await out(group("tsv", ...nulls), rows)).toBe(
      "count\tsum_v\tmin_v\tmax_v\tmean_v\n6\t8\t3\t5\t4\n",
    );
    expect(await out(group("tsv", "--by", "k", ...nulls), rows)).toBe(
      "k\tcount\tsum_v\tmin_v\tmax_v\tmean_v\na\t3\t8\t3\t5\t4\nb\t3\t0\t\t\t\n",
    );
    // By each record, where first values are asked for.
    expect(await out(group("tsv", "--by", "k", "--first", "v", ...nulls), rows)).toBe(
      "k\tcount\tsum_v\tmin_v\tmax_v\tmean_v\tfirst_v\na\t3\t8\t3\t5\t4\t\\N\nb\t3\t0\t\t\t\tNA\n",
    );
    const lines = '{"v":"NA"}\n{"v":2}\n{"v":-999}\n';
    expect(await out(group("ndjson", ...nulls), lines)).toBe(
      '{"count":3,"sum_v":2,"min_v":2,"max_v":2,"mean_v":2}\n',
    );
  });

  test.each([
    ["ndjson", '{"k":1,"v":1e308}\n{"k":1,"v":1e308}\n'],
    ["csv", "k,v\n1,1e308\n1,1e308\n"],
  ])(
    "a sum of %s beyond the largest double is an error, whatever is written",
    async (from, input) => {
      for (const to of ["ndjson", "json", "csv", "tsv", "parquet"]) {
        for (const by of [[], ["--by", "k"]]) {
          const words = ["group", "-", "--from", from, "--to", to, ...by, "--sum", "v"];
          const { code, out, err } = await run(words, input);
          expect([code, out]).toEqual([1, ""]);
          expect(err).toContain(`--sum v${by.length ? " for " : ""}`);
          expect(err).toContain(" is beyond 1.8e308");
        }
      }
    },
  );

  test("without --by: one row for all records, by their fields or by each record, and for none", async () => {
    const sums = ["--count", "--sum", "ms", "--min", "ms", "--max", "user,ms", "--mean", "ms"];
    const row =
      '{"count":4,"sum_ms":49,"min_ms":7,"max_user":"bob","max_ms":30,"mean_ms":16.333333333333332';
    expect(await out(["group", "e.ndjson", ...sums])).toBe(`${row}}\n`);
    const each = ["--first", "ms,big", "--last", "ms"];
    expect(await out(["group", "e.ndjson", ...sums, ...each])).toBe(
      `${row},"first_ms":12.0,"first_big":12345678901234567890,"last_ms":null}\n`,
    );
    const many = Array.from({ length: 30_000 }, (_, i) => `${i % 3 ? i : ""},x\n`).join("");
    const csv = [
      "group",
      "-",
      "--from",
      "csv",
      "--count",
      "--sum",
      "v",
      "--mean",
      "v",
      "--max",
      "v",
    ];
    expect(await out(csv, `v,t\n${many}`)).toBe(
      "count,sum_v,max_v,mean_v\n30000,300000000,29999,15000\n",
    );
    expect(await out(csv, "v,t\n")).toBe("count,sum_v,max_v,mean_v\n0,0,,\n");
    expect(await out(["group", "--count", "--sum", "x", "--min", "x", "--first", "x"], "")).toBe(
      '{"count":0,"sum_x":0,"min_x":null,"first_x":null}\n',
    );
    expect((await run(["group", "e.ndjson"])).err).toContain(
      "needs --by FIELD, or sums of all records",
    );
    expect((await run(["group", "e.ndjson", "--sum", "user"])).err).toContain(
      'has "ann" for --sum user',
    );
  });

  test("results are named as records name their fields, and no column hides another", async () => {
    const input = '{"count":5,"a.b":1}\n';
    expect(
      await out(["group", "-", "--by", "a\\.b,count", "--count", "--sum", "a\\.b"], input),
    ).toBe('{"a.b":1,"count":5,"count_":1,"sum_a.b":1}\n');
    const csv = ["group", "-", "--by", "count", "--count", "--to", "csv"];
    expect(await out(csv, input)).toBe("count,count_\n5,1\n");
  });

  test("count, ordered", async () => {
    expect(await out(["count", "e.ndjson", "--by", "user", "--top", "1"])).toBe(
      '{"user":"ann","count":2}\n',
    );
    expect(await out(["count", "e.ndjson", "--by", "user", "--to", "csv"])).toBe(
      "user,count\nann,2\nbob,1\nAnn,1\n",
    );
    expect(await out(["count", "e.ndjson"])).toBe('{"count":4}\n');
    expect(await out(["count", "-", "--by", "a", "--from", "csv"], "a,b\n")).toBe("a,count\n");
  });

  test("distinct keeps the first", async () => {
    expect(await out(["distinct", "e.ndjson", "--by", "user"])).toBe(
      `${EVENTS[0]}${EVENTS[1]}${EVENTS[3]}`,
    );
    expect(await out(["distinct"], '{"a":1}\n{"a":1.0}\n{"a":1}')).toBe('{"a":1}\n{"a":1.0}\n');
  });

  test("sort: a field of CSV is text unless :numeric says otherwise, alone or among others", async () => {
    const csv = "n,i\n10,1\n9,2\n1.50,3\n1.5,4\n,5\n007,6\n";
    const text = "n,i\n,5\n007,6\n1.5,4\n1.50,3\n10,1\n9,2\n";
    for (const by of ["n", "n:text", "n,i:text"]) {
      expect([by, await out(["sort", "-", "--from", "csv", "--by", by], csv)]).toEqual([by, text]);
    }
    expect(await out(["sort", "-", "--from", "csv", "--by", "n:numeric"], csv)).toBe(
      "n,i\n1.50,3\n1.5,4\n007,6\n9,2\n10,1\n,5\n",
    );
  });

  test("sort: a remark where a column of CSV has numbers, and nothing says how they are meant", async () => {
    write(
      "ms.csv",
      'ms,zip,"a,b",when\n10,01234,1,2024-01-01\n9,99999,2,2024-01-02\n,10000,,\n1.5,10001,10,\n',
    );
    const told = async (...words: string[]) => {
      const { code, err } = await run(["sort", "ms.csv", ...words, "-o", "o.csv", "--force"]);
      return [code, err];
    };
    expect(await told("--by", "ms:desc")).toEqual([
      0,
      "partd: ms is sorted as text, 10 before 9: say --by ms:desc:numeric if it has numbers, and :text if not\n",
    ]);
    expect(read("o.csv")).toMatch(/^ms.*\n9.*\n10.*\n1.5.*\n,/);
    expect((await told("--by", "a\\,b"))[1]).toContain("say --by a\\,b:numeric");
    for (const by of ["zip", "when", "ms:text", "ms:numeric"]) {
      expect([by, ...(await told("--by", by))]).toEqual([by, 0, ""]);
    }
    write("euro.csv", "ms;n\n2,5;\n1,5;7\n");
    const euro = ["sort", "euro.csv", "--delimiter", ";", "--by"];
    expect(await run([...euro, "ms:numeric"])).toMatchObject({
      code: 0,
      out: "ms;n\n2,5;\n1,5;7\n",
      err: 'partd: ms begins with "2,5" and has no number in the first records: values that are not numbers come last, in the order of the input\n',
    });
    expect(await run([...euro, "ms:text,n:numeric"])).toMatchObject({ code: 0, err: "" });
    for (const option of ["--quiet", "--json"]) {
      expect([option, ...(await told("--by", "ms", option))]).toEqual([
        option,
        0,
        expect.not.stringContaining("sorted as text"),
      ]);
    }
    const malformed = "ms\n1,2\n10\n9\n";
    expect(await run(["sort", "--from", "csv", "--by", "ms"], malformed)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/standard input:2:.*has 2 fields/),
    });
    expect(await run(["sort", "--by", "ms"], '{"ms":"10"}\n{"ms":"9"}\n')).toMatchObject({
      err: "",
    });
  });

  test("sort: directions, numbers in text, stable", async () => {
    const csv = "k,n\nb,10\na,9\nb,2\na,10\n";
    expect(await out(["sort", "-", "--from", "csv", "--by", "k,n:numeric"], csv)).toBe(
      "k,n\na,9\na,10\nb,2\nb,10\n",
    );
    expect(await out(["sort", "-", "--from", "csv", "--by", "k:desc"], csv)).toBe(
      "k,n\nb,10\nb,2\na,9\na,10\n",
    );
    expect((await run(["sort", "-", "--by", "a:dsc"], "{}")).err).toContain("did you mean desc?");
  });

  test("a field whose name is empty", async () => {
    write("empty.ndjson", '{"":"y","n":{"":2}}\n{"":"x","n":{"":1}}\n');
    const [y, x] = read("empty.ndjson").split(/(?<=\n)/);
    const named = (name: string, ...words: string[]) => out([name, "empty.ndjson", ...words]);
    expect(lines(await named("count", "--by", '"",n.'))).toEqual(
      lines('{"":"x","n.":1,"count":1}\n{"":"y","n.":2,"count":1}\n'),
    );
    expect(await named("sort", "--by", '""')).toBe(`${x}${y}`);
    expect(await named("sort", "--by", '"":desc')).toBe(`${y}${x}`);
    expect(await named("distinct", "--by", '""')).toBe(`${y}${x}`);
    expect(await named("group", "--first", '""')).toBe('{"first_":"y"}\n');
    expect(await named("join", "empty.ndjson", "--on", '""', "--type", "semi")).toBe(`${y}${x}`);
    write("ids.ndjson", '{"id":"x"}\n');
    expect(await named("join", "ids.ndjson", "--on", '""=id')).toBe(x);
    await named("split", "--by", '""', "-o", "empties");
    await named("split", "--by", '""', "-o", "of-empties", "--name", 'of-{""}.ndjson');
    expect([ls("empties"), ls("of-empties")]).toEqual([
      ["x.ndjson", "y.ndjson"],
      ["of-x.ndjson", "of-y.ndjson"],
    ]);
    expect((await run(["count", "empty.ndjson", "--by", "x"])).err).toContain(
      'there are: "", n, n.',
    );
    for (const by of ["", "n,", ":desc"]) {
      expect(await run(["sort", "empty.ndjson", "--by", by])).toMatchObject({ code: 2, out: "" });
    }
    expect((await run(["count", "empty.ndjson", "--by", ""])).err).toContain(
      `a name of JSON that is empty by '""'`,
    );
    expect(await run(["count", "--by", '""'], '{"":1}\n{}\n')).toMatchObject({
      code: 1,
      err: expect.stringContaining('has no field ""; --missing skip'),
    });
    expect(await run(["count", "--by", '""'], '{"a":1}\n')).toMatchObject({
      code: 2,
      err: 'partd: there is no field "" in the first record of standard input; there are: a\n',
    });
  });

  test("fields in objects, and with dots in their names", async () => {
    expect(await out(["count", "e.ndjson", "--by", "at.x\\.y", "--missing", "skip", "-q"])).toBe(
      '{"at.x.y":1,"count":1}\n',
    );
  });
});

describe("threads", () => {
  const lines = Array.from({ length: 4000 }, (_, i) => {
    return `{"user":"u${(i * 7919) % 613}","id":${i},"text":"${"x".repeat(i % 90)}"}\n`;
  });
  const two = ["--threads", "2"];
  write("many.ndjson", lines.join(""));
  write("many.csv", `user,id\n${lines.map((_, i) => `u${i % 97},"${i}\n"\n`).join("")}`);

  test.each(["many.ndjson", "many.csv"])("%s: the same as of one", async (name) => {
    for (const words of [
      ["count", name, "--by", "user"],
      ["count", name, "--by", "user,id", "--top", "3"],
      ["distinct", name, "--by", "user"],
    ]) {
      const [one, other] = [await out([...words, "--threads", "1"]), await out([...words, ...two])];
      expect(other.split("\n").sort()).toEqual(one.split("\n").sort());
      expect(one.length).toBeGreaterThan(30);
    }
    const parts = ["split", name, "--by", "user", "--partitions", "5", "--json"];
    const { out: told } = await run([...parts, "--out", `${name}.two`, ...two]);
    expect(JSON.parse(told)).toMatchObject({ files: 5, records: 4000 });
    await out([...parts.slice(0, -1), "--max-rows", "9999", "--out", `${name}.one`]);
    expect(ls(`${name}.two`)).toEqual(ls(`${name}.one`));
    for (const part of ls(`${name}.two`)) {
      expect(read(`${name}.two`, part)).toBe(read(`${name}.one`, part));
    }
  });

  test("what is wrong with a record that another one reads is told with its place", async () => {
    write("lacks.ndjson", [...lines, '{"id":1}\n'].join(""));
    write("broken.ndjson", [...lines, '{"user":1,\n'].join(""));
    for (const [name, words] of [
      [
        "lacks",
        'has no field user; --missing skip leaves such records out, --missing FILE keeps them apart: "{\\"id\\":1}"',
      ],
      ["broken", 'is not JSON: "{\\"user\\":1,"'],
    ] as const) {
      for (const command of [
        ["count"],
        ["distinct", "-o", `${name}.out`],
        ["split", "--partitions", "5", "--out", `${name}.out`],
      ]) {
        const end = await run([...command, `${name}.ndjson`, "--by", "user", ...two]);
        expect(end).toMatchObject({ code: 1, out: "" });
        expect(end.err).toMatch(new RegExp(`^partd: ${name}\\.ndjson:4001:\\d+: the record `));
        expect(end.err).toContain(words);
      }
      expect(readdirSync(cwd).filter((one) => one.includes(`${name}.out`))).toEqual([]);
    }
  });
});

test("JSON that is not an array is refused with what makes lines of one within", async () => {
  write("features.json", '{"type":"FeatureCollection","features":[{"id":1}]}');
  const { code, err } = await run(["count", "features.json", "--by", "id"]);
  expect(code).toBe(1);
  expect(err).toMatch(
    /^partd: features\.json:1:1: the input is no JSON array \(say --from ndjson .*jq -c '\.NAME\[\]' makes lines\)/,
  );
});

test("count, of values of all kinds, and of those with very many records", async () => {
  const values = ['"é\\u0000"', "12345678901234567890", "[1,null]", "true", "1.50", "null", '"2"'];
  const records = values.flatMap((value, i) => {
    return Array<string>(i < 3 ? 65_535 + i : 3 - (i & 1)).fill(`{"k":${value}}\n`);
  });
  const counts = new Map<string, number>();
  for (const record of records) counts.set(record, (counts.get(record) ?? 0) + 1);
  const expected = [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([record, n]) => record.replace("1.50", "1.5").replace("}", `,"count":${n}}`));
  expect(await out(["count", "--by", "k"], records.join(""))).toBe(expected.join(""));
});

test("count, of more values than are sorted in memory at once", async () => {
  const key = (i: number) => `${i}`.padStart(4, "0") + "k".repeat(5000);
  const many = Array.from({ length: 1700 }, (_, i) =>
    `{"k":"${key(i)}"}\n`.repeat(i % 3 === 0 ? 2 : 1),
  );
  const found = (await out(["count", "--by", "k"], many.join(""))).trim().split("\n");
  const counts = found.map((line) => JSON.parse(line).count);
  expect(counts).toEqual([...counts].sort((a, b) => b - a));
  expect(new Set(found.map((line) => JSON.parse(line).k)).size).toBe(1700);
  expect(
    (await out(["count", "--by", "k", "--top", "4"], many.join(""))).match(/"count":2/g),
  ).toHaveLength(4);
});

describe("join", () => {
  test("NDJSON: values as they are written, names of both get a suffix", async () => {
    write("users.ndjson", '{"id":"ann","ms":1.50,"city":"Ürgüp"}\n{"id":"zoe"}\n');
    const on = ["join", "e.ndjson", "users.ndjson", "--on", "user=id"];
    expect(await out(on)).toBe(
      '{"user":"ann","ms":12.0,"big":12345678901234567890,"ms_right":1.50,"city":"Ürgüp"}\n{"user":"ann","ms":30,"at":{"x.y":1},"ms_right":1.50,"city":"Ürgüp"}\n',
    );
    expect((await out([...on, "--type", "full"])).split("\n")).toEqual(
      expect.arrayContaining(['{"user":"zoe"}', EVENTS[1]?.trim()]),
    );
    expect(await out([...on, "--type", "anti"])).toBe(`${EVENTS[1]}${EVENTS[3]}`);
    expect(await out([...on, "--type", "semi"])).toBe(`${EVENTS[0]}${EVENTS[2]}`);
  });

  test("what is no object stays what it is, and a name that a record has twice is one", async () => {
    write("odd.ndjson", '1\n{"id":1,"n":5,"n":6}\n[2]\n');
    const joined = await out(["join", "odd.ndjson", "odd.ndjson", "--on", "id", "--type", "full"]);
    expect(lines(joined)).toEqual(
      lines('1\n1\n[2]\n[2]\n{"id":1,"n":5,"n":6,"n_right":5,"n_right":6}\n'),
    );
  });

  test("to CSV: the header has the columns of both sides, whichever records match", async () => {
    write("l.ndjson", '{"id":1,"n":"a"}\n{"id":2,"n":"b","x":1}\n');
    write("r.ndjson", '{"key":2,"n":"B"}\n{"key":3,"y":"true"}\n');
    write("r.csv", "key,n,y\n2,B,\n3,,true\n");
    const joined = (...words: string[]) => out(["join", "l.ndjson", ...words, "--to", "csv"]);
    for (const right of ["r.ndjson", "r.csv"]) {
      expect(await joined(right, "--on", "id=key", "--type", "left")).toBe(
        "id,n,x,n_right,y\n1,a,,,\n2,b,1,B,\n",
      );
      expect(lines(await joined(right, "--on", "id=key", "--type", "full"))).toEqual(
        lines("id,n,x,n_right,y\n1,a,,,\n2,b,1,B,\n3,,,,true\n"),
      );
      expect(await joined(right, "--on", "n=y", "--type", "left")).toBe(
        "id,n,x,key,n_right\n1,a,,,\n2,b,1,,\n",
      );
      expect(await joined(right, "--on", "n=y")).toBe("id,n,x,key,n_right\n");
    }
    expect(await joined("r.ndjson", "--on", "id=key", "--type", "anti")).toBe("id,n\n1,a\n");
  });

  test("a key with a dot in its name is in the output once, one in an object is not a namesake of it", async () => {
    write("dots.ndjson", '{"a.b":1,"x":2}\n');
    write("deep.ndjson", '{"a":{"b":1},"a.b":3}\n');
    write("dots.csv", "a.b,x\n1,2\n");
    expect(await out(["join", "dots.ndjson", "dots.ndjson", "--on", "a\\.b"])).toBe(
      '{"a.b":1,"x":2,"x_right":2}\n',
    );
    expect(await out(["join", "dots.ndjson", "deep.ndjson", "--on", "a\\.b=a.b"])).toBe(
      '{"a.b":1,"x":2,"a":{"b":1},"a.b_right":3}\n',
    );
    const right = ["join", "e.ndjson", "dots.ndjson", "--on", "at.x\\.y=a\\.b", "--type", "right"];
    expect(await out(right)).toBe('{"user":"ann","ms":30,"at":{"x.y":1},"x":2}\n');
    expect(await out(["join", "dots.csv", "dots.csv", "--on", "a\\.b"])).toBe(
      "a.b,x,x_right\n1,2,2\n",
    );
  });

  test("of two formats: rows with lines become objects, rows with rows are as the left", async () => {
    write(
      "ids.ndjson",
      '{"id":1,"at":2.50}\n{"id":"02"}\n{"id":true,"at":1}\n{"id":null}\n{"id":9}\n',
    );
    write("ids.csv", 'id,name,at\n1,"a, ""b""",x\n02,c,\ntrue,d,y\n7,e,z\n');
    write("ids.tsv", 'id\tname\n02\ta,b\n1\t"q\tr"\n');
    const sorted = async (words: string[], input?: string) =>
      (await out(["join", ...words, "--on", "id"], input)).trim().split("\n").sort();
    const left = await sorted(["ids.ndjson", "ids.csv", "--type", "full"]);
    expect(left).toEqual([
      '{"id":"02","name":"c","at":""}',
      '{"id":"7","name":"e","at":"z"}',
      '{"id":1,"at":2.50,"name":"a, \\"b\\"","at_right":"x"}',
      '{"id":9}',
      '{"id":null}',
      '{"id":true,"at":1,"name":"d","at_right":"y"}',
    ]);
    expect(await sorted(["ids.csv", "ids.ndjson"])).toEqual([
      '{"id":"02","name":"c","at":""}',
      '{"id":"1","name":"a, \\"b\\"","at":"x","at_right":2.50}',
      '{"id":"true","name":"d","at":"y","at_right":1}',
    ]);
    expect(await out(["join", "ids.csv", "ids.ndjson", "--on", "id", "--type", "anti"])).toBe(
      "id,name,at\n7,e,z\n",
    );
    expect(await out(["join", "ids.csv", "ids.ndjson", "--on", "id,at", "--type", "semi"])).toBe(
      "id,name,at\n",
    );
    expect(await out(["join", "ids.csv", "ids.tsv", "--on", "id"])).toBe(
      'id,name,at,name_right\n1,"a, ""b""",x,q\tr\n02,c,,"a,b"\n',
    );
    expect(await out(["join", "ids.tsv", "ids.csv", "--on", "id", "--to", "csv"])).toContain(
      '"a,b",c,',
    );
    // --from is for the side whose name does not tell.
    const rows = read("ids.csv");
    expect(await sorted(["-", "ids.ndjson", "--from", "csv"], rows)).toHaveLength(3);
    expect(await sorted(["ids.ndjson", "-", "--from", "csv"], rows)).toHaveLength(3);
    write("twins.csv", "id,a,a\n1,2,3\n");
    expect(await run(["join", "ids.ndjson", "twins.csv", "--on", "id"])).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringContaining("two columns are named a"),
    });
  });

  test("--missing and --reject take what either side has of it", async () => {
    write("left.ndjson", '{"k":1,"a":1}\n{"a":2}\n{bad\n{"k":null,"a":3}\n');
    write("right.ndjson", '{"k":1,"b":1}\n[bad\n{"b":2}\n');
    const joined = (...words: string[]) =>
      run(["join", "left.ndjson", "right.ndjson", "--on", "k", "--type", "full", ...words]);
    const kept = '{"k":1,"a":1,"b":1}\n{"a":2}\n{"k":null,"a":3}\n{"b":2}\n';
    const failed = await joined();
    expect(failed).toMatchObject({ code: 1, out: "" });
    expect(failed.err).toMatch(/(left|right)\.ndjson:[23]:/);
    for (const words of [[], ["--missing", "keep", "--force"]]) {
      const ended = await joined("--reject", "both.bad", ...words);
      expect(ended).toMatchObject({ code: 3, out: kept });
      expect(ended.err).toBe("partd: 2 malformed records are in both.bad\n");
      expect(lines(read("both.bad"))).toEqual(["", "[bad", "{bad"]);
    }
    const apart = await joined("--reject", "both.bad", "--missing", "both.none", "--force");
    expect(apart).toMatchObject({ code: 3, out: '{"k":1,"a":1,"b":1}\n{"k":null,"a":3}\n' });
    expect(apart.err).toContain("2 records without the field were put into both.none");
    expect(lines(read("both.none"))).toEqual(["", '{"a":2}', '{"b":2}']);
    const strict = await joined("--reject", "both.bad", "--missing", "error", "--force");
    expect(strict).toMatchObject({ code: 1, out: "" });
    expect(strict.err).toMatch(/(left\.ndjson:2|right\.ndjson:3):1: the record has no field k/);
    const mixed = ["join", "left.ndjson", "-", "--from", "csv", "--on", "k", "--type", "left"];
    const skipped = [...mixed, "--missing", "skip", "--reject", "both.bad", "--force"];
    expect((await run(skipped, "k,c\n1,x\n")).out).toBe(
      '{"k":1,"a":1,"c":"x"}\n{"k":null,"a":3}\n',
    );
    for (const option of ["--reject", "--missing"]) {
      const replaced = await joined(option, "right.ndjson", "--force");
      expect(replaced).toMatchObject({ code: 2, out: "" });
      expect(replaced.err).toContain("is one of the inputs");
    }
    expect((await run(["count", "e.ndjson", "--by", "user", "--missing", "keep"])).err).toContain(
      "--missing takes error, skip or a FILE; write ./keep",
    );
  });

  test("what --missing and --reject take has no place on standard output", async () => {
    for (const words of ["count e.ndjson --by user", "join e.ndjson e.ndjson --on user"]) {
      for (const option of ["--missing", "--reject"]) {
        const refused = await run([...words.split(" "), option, "-"]);
        expect(refused).toMatchObject({ code: 2, out: "" });
        expect(refused.err).toContain(`${option} takes a FILE, not -: write /dev/stderr`);
      }
    }
  });

  test("an empty file of CSV has the key for its header", async () => {
    write("none.csv", "");
    write("some.csv", "k,v\n1,2\n");
    expect(await out(["join", "some.csv", "none.csv", "--on", "k", "--type", "left"])).toBe(
      "k,v\n1,2\n",
    );
    expect(await out(["join", "none.csv", "some.csv", "--on", "k", "--type", "right"])).toBe(
      "k,v\n1,2\n",
    );
  });

  test("an output named as another compression is refused", async () => {
    write("one.ndjson", '{"a":1}\n');
    const refused = await run(["sort", "one.ndjson", "--by", "a", "-o", "one.ndjson.bz2"]);
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toContain("one.ndjson.bz2: .bz2 is not written; take .gz or .zst");
  });

  test("what can be no join is refused", async () => {
    const twice = await run(["join", "-", "-", "--on", "a"], '{"a":1}\n');
    expect(twice).toMatchObject({ code: 2, out: "" });
    expect(twice.err).toContain("standard input (-) can be read only once");
    const endless = ["join", "e.ndjson", "e.ndjson", "--on", "user", "--suffix", ""];
    expect(await run(endless)).toMatchObject({ code: 2, out: "" });
  });

  test("--type outer is full, as SQL calls it", async () => {
    write("outer.ndjson", '{"user":"eve"}\n');
    const join = (kind: string) =>
      out(["join", "outer.ndjson", "e.ndjson", "--on", "user", "--type", kind]);
    expect(await join("outer")).toBe(await join("full"));
  });

  test("CSV: columns of both, the key once", async () => {
    write("l.csv", 'id,a\n1,"x, y"\n2,z\n');
    write("r.csv", "a,key\nq,2\nw,3\n");
    const on = ["join", "l.csv", "r.csv", "--on", "id=key"];
    expect(await out(on)).toBe("id,a,a_right\n2,z,q\n");
    expect((await out([...on, "--type", "full"])).split("\n").sort()).toEqual(
      ["", "id,a,a_right", '1,"x, y",', "2,z,q", "3,,w"].sort(),
    );
    expect(await out([...on, "--type", "left"])).toBe('id,a,a_right\n1,"x, y",\n2,z,q\n');
  });
});

describe("inputs and outputs", () => {
  test("several inputs, globs, gzip, zstd, a BOM, no end of the last line", async () => {
    write("p1.csv", "\ufeffa,b\n1,2");
    write("p2.csv.gz", gzipSync("a,b\r\n3,4\r\n"));
    expect(await out(["sort", "p*.csv*", "--by", "a"])).toBe("a,b\n1,2\n3,4\r\n");
    const zstd = Buffer.from("KLUv/SQIQQAAeyJhIjoxfQr9cjJy", "base64");
    const piped = await run(["count", "-"], zstd);
    expect([0, 1]).toContain(piped.code);
  });

  test("one format becomes another", async () => {
    write("a.json", '[{"a": 1.0, "b": "x\\n[,]"},\n {"a":2,"b":null}]');
    const trimmed = async (...words: string[]) =>
      (await out(["sort", "a.json", "--by", "a", ...words])).replace(/^ +/gm, "");
    const items = ['{"a": 1.0, "b": "x\\n[,]"}', '{"a":2,"b":null}'];
    expect(await trimmed()).toBe(`${items.join("\n")}\n`);
    expect(await trimmed("--to", "csv")).toBe('a,b\n1.0,"x\n[,]"\n2,\n');
    expect(await trimmed("--to", "json")).toBe(`[\n${items.join(",\n")}\n]\n`);
    await out(["sort", "p1.csv", "--by", "a", "-o", "o.ndjson"]);
    expect(read("o.ndjson")).toBe('{"a":"1","b":"2"}\n');
  });

  test("CSV of NDJSON has the fields of its first 1,000 records, or of their first 1 MiB", async () => {
    const record = (i: number) => `{"i":${i}}\n`;
    const first = Array.from({ length: 999 }, (_, i) => record(i)).join("");
    const late = '{"b":"x","i":999}\n';
    const csv = await out(["distinct", "-", "--to", "csv"], first + late + record(1000));
    expect(csv).toMatch(/^i,b\n0,\n1,\n/);
    expect(csv).toMatch(/\n998,\n999,x\n1000,\n$/);
    const failed = await run(["distinct", "-", "--to", "tsv"], first + record(999) + late);
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.err).toBe(
      'partd: --to tsv: record 1,001 of the output has a field b that is not in the header, which has the fields of the first 1,000; --to ndjson, parquet or arrow takes records of any fields\n       {"b":"x","i":"999"}\n',
    );
    const long = `{"i":"${"x".repeat(1 << 20)}"}\n`;
    const { err } = await run(["distinct", "-", "--to", "csv"], long + late);
    expect(err).toContain("record 2 of the output has a field b");
    expect(await out(["distinct", "-", "--from", "csv", "--to", "tsv"], "a,b\n")).toBe("a\tb\n");
  });

  test("CSV of one column has a row for each record, whatever it holds", async () => {
    const input = '{"a":""}\n{"a":null}\n{"a":"x"}\n';
    const csv = await out(["sort", "-", "--by", "a", "--to", "csv"], input);
    expect(csv).toBe('a\n""\nx\n""\n');
    expect(await out(["count", "-", "--from", "csv"], csv)).toBe("count\n3\n");
    const empty = ["join", "one.csv", "none.tsv", "--on", "k", "--type", "right"];
    write("one.csv", "k\nx\n");
    write("none.tsv", 'k\n""\n');
    expect(await out(empty)).toBe('k\n""\n');
  });

  test.each(["csv", "tsv", "arrow", "parquet"])(
    "half a character has no place in %s",
    async (format) => {
      const { code, err } = await run(
        ["distinct", "-", "--to", format, "-o", `half.${format}`],
        '{"a":"x"}\n{"a":"y\\ud83d"}\n',
      );
      expect({ code, err }).toEqual({
        code: 1,
        err: expect.stringMatching(
          /^partd: "y\\ud83d" .*holds half a character .*: write ndjson or json\.?\n$/,
        ),
      });
      expect(existsSync(join(cwd, `half.${format}`))).toBe(false);
    },
  );

  test("an output within a file is wrong use", async () => {
    for (const words of [
      ["sort", "e.ndjson", "--by", "user", "-o", "e.ndjson/x"],
      ["count", "e.ndjson", "-o", "e.ndjson/x/y"],
      ["split", "e.ndjson", "--by", "user", "-o", "e.ndjson/x"],
      ["count", "e.ndjson", "--reject", "e.ndjson/x"],
    ]) {
      const { code, err } = await run(words);
      expect([code, err]).toEqual([2, expect.stringContaining("there is no directory ")]);
    }
  });

  test("a number that no double holds is refused as a key or a sum, and else passes", async () => {
    const line = '{"k":1,"n":1e400}\n';
    expect(await out(["group", "--by", "k", "--first", "n"], line)).toBe(
      '{"k":1,"first_n":1e400}\n',
    );
    const summed = await run(["group", "--by", "k", "--sum", "n"], line);
    expect(summed.err).toContain("partd: --sum n for 1 is beyond 1.8e308");
    const keyed = await run(["group", "--by", "n", "--count"], line);
    expect(keyed.err).toContain("a number beyond 1.8e308 where its key should be");
  });

  test("numbers are as they were written, also in CSV", async () => {
    const line =
      '{"a":12345678901234567890,"b":1.0,"c":1e3,"d":{"x":1.0},"e":"x,\\u00e9","f":null,"1":true}';
    const csv = await out(["distinct", "--from", "ndjson", "--to", "csv"], line);
    expect(csv).toBe('a,b,c,d,e,f,1\n12345678901234567890,1.0,1e3,"{""x"":1.0}","x,é",,true\n');
  });

  test("--out - is standard output, and an empty name is none", async () => {
    for (const words of [
      ["group", "c.csv", "--by", "k"],
      ["group", "e.ndjson", "--count"],
      ["count", "e.ndjson", "--by", "user"],
      ["distinct", "c.csv"],
      ["sort", "c.csv", "--by", "k"],
      ["join", "c.csv", "c.csv", "--on", "k"],
    ]) {
      const printed = await out(words);
      expect([words, await out([...words, "-o", "-"])]).toEqual([words, printed]);
      expect(printed).not.toBe("");
      expect((await run([...words, "--out", ""])).err).toContain("--out is empty");
    }
    const refused = await run(["split", "e.ndjson", "--by", "user", "--out", "-"]);
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toContain("--out takes a directory");
    expect(existsSync(join(cwd, "-"))).toBe(false);
  });

  test("an output of the name .gz is packed, and only then complete", async () => {
    await out(["sort", "e.ndjson", "--by", "user", "-o", "packed.ndjson.gz"]);
    expect(gunzipSync(readFileSync(join(cwd, "packed.ndjson.gz"))).toString()).toBe(
      await out(["sort", "e.ndjson", "--by", "user"]),
    );
    expect(await out(["count", "packed.ndjson.gz"])).toBe('{"count":4}\n');
    const failed = await run([
      "group",
      "e.ndjson",
      "--by",
      "ms",
      "--sum",
      "user",
      "-o",
      "n.csv.gz",
    ]);
    expect(failed).toMatchObject({ code: 1, out: "" });
    expect(readdirSync(cwd).filter((name) => name.includes("n.csv.gz"))).toEqual([]);
    const parts = ["split", "e.ndjson", "--by", "user", "--out", "gz", "--name", "{user}.gz"];
    expect(await run(parts)).toMatchObject({ code: 2 });
  });

  test("--delimiter is of CSV that is read and that is written, byte for byte", async () => {
    const csv = 'k;v, w\r\nb;"x;y"\r\na;2,5\nb;"a ""q"""\n';
    write("semi.csv", csv);
    const semi = ["--delimiter", ";"];
    const rows = { x: 'b;"x;y"\r\n', a: "a;2,5\n", q: 'b;"a ""q"""\n' };
    expect(await out(["distinct", "semi.csv", ...semi])).toBe(csv);
    expect(await out(["sort", "semi.csv", "--by", "k", ...semi])).toBe(
      `k;v, w\r\n${rows.a}${rows.x}${rows.q}`,
    );
    expect(await out(["count", "semi.csv", "--by", "v\\, w,k", ...semi, "--top", "1"])).toBe(
      'v, w;k;count\n"x;y";b;1\n',
    );
    await out(["split", "semi.csv", "--by", "k", "--out", "semi", "--drop-key", ...semi]);
    expect(read("semi/b.csv")).toBe('v, w\r\n"x;y"\r\n"a ""q"""\n');
    const nd = '{"k":"b","v, w":"x;y"}\n{"k":"a","v, w":"2,5"}\n{"k":"b","v, w":"a \\"q\\""}\n';
    expect(await out(["distinct", "semi.csv", ...semi, "--to", "ndjson"])).toBe(nd);
    expect(await out(["distinct", "--to", "csv", ...semi], nd)).toBe(csv.replaceAll("\r", ""));
    expect(await out(["distinct", "semi.csv", ...semi, "--to", "tsv"])).toBe(
      'k\tv, w\nb\tx;y\na\t2,5\nb\t"a ""q"""\n',
    );
    expect(
      await out(["join", "semi.csv", "semi.csv", "--on", "k", "--type", "semi", ...semi]),
    ).toBe(csv);
    write("bar.csv", "k|n|v, w\na|007|1\na|5|1\n");
    const bar = ["bar.csv", "--delimiter", "|"];
    expect(await out(["join", "bar.csv", ...bar, "--on", "k,n"])).toBe(
      "k|n|v, w|v, w_right\na|007|1|1\na|5|1|1\n",
    );
    expect(await out(["group", ...bar, "--by", "k", "--max", "n"])).toBe("k|max_n\na|007\n");
    expect(await out(["join", "e.ndjson", "semi.csv", "--on", "user=k", ...semi])).toBe("");
    write("tab.txt", "k\tv\na\t1\n");
    expect(
      await out(["count", "tab.txt", "--from", "csv", "--by", "k", "--delimiter", "\\t"]),
    ).toBe("k\tcount\na\t1\n");
    const refused = async (words: string[], what: string) => {
      const end = await run(words);
      expect(end).toMatchObject({ code: 2, out: "" });
      expect(end.err).toContain(what);
    };
    write("plain-semi.csv", "k;v\na;1\n");
    await refused(["count", "plain-semi.csv", "--by", "k"], "does it need --delimiter ';'?");
    await refused(["count", "e.ndjson", ...semi], "--delimiter is for CSV, and this is ndjson");
    for (const bad of [";;", "é", '"', "\n"]) {
      await refused(["count", "semi.csv", "--delimiter", bad], "takes one character of ASCII");
    }
  });

  test("a column without a name goes by its number in every command", async () => {
    write("unnamed.csv", "a,,b,\n1,x,2,\n3,y,4,\n");
    const named = async (line: string) => out([...line.split(" "), "unnamed.csv"]);
    expect(await named("count --by 2")).toBe("2,count\nx,1\ny,1\n");
    expect(await named("group --by 2 --sum b")).toBe("2,sum_b\nx,2\ny,4\n");
    expect(await named("distinct --by 4")).toBe("a,,b,\n1,x,2,\n");
    expect(await named("sort --by 2:desc")).toBe("a,,b,\n3,y,4,\n1,x,2,\n");
    expect(await named("sort --by a --to ndjson")).toBe(
      '{"a":"1","2":"x","b":"2","4":""}\n{"a":"3","2":"y","b":"4","4":""}\n',
    );
    await named("split --by 2 --drop-key -o unnamed");
    expect([ls("unnamed"), read("unnamed", "x.csv")]).toEqual([["x.csv", "y.csv"], "a,b,\n1,2,\n"]);
    write("x.ndjson", '{"k":"x","z":0}\n');
    expect(await out(["join", "unnamed.csv", "x.ndjson", "--on", "2=k"])).toBe(
      '{"a":"1","2":"x","b":"2","4":"","z":0}\n',
    );
    expect(await out(["join", "unnamed.csv", "unnamed.csv", "--on", "2"])).toBe(
      "a,2,b,4,a_right,b_right,4_right\n1,x,2,,1,2,\n3,y,4,,3,4,\n",
    );
    for (const [by, message] of [
      ["c", "there is no field c in unnamed.csv; there are: a, 2, b, 4"],
      ["a,", '--by has an empty FIELD in "a,"; a column of CSV without a name goes by its number'],
    ] as const) {
      const { code, err } = await run(["count", "unnamed.csv", "--by", by]);
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) });
    }
  });

  test("columns keep their order where their names are numbers", async () => {
    write("years.csv", "name,2021,2020\nx,1,2\n");
    write("name.ndjson", '{"name":"x"}\n');
    const line = '{"name":"x","2021":"1","2020":"2"}\n';
    expect(await out(["distinct", "years.csv", "--to", "ndjson"])).toBe(line);
    expect(await out(["join", "years.csv", "name.ndjson", "--on", "name"])).toBe(line);
    const bare = ["join", "-", "years.csv", "--on", "1", "--no-header", "--from", "csv"];
    expect(await out([...bare, "--to", "ndjson"], "x,y\n")).toBe(
      '{"1":"x","2":"y","2_right":"1","3":"2"}\n',
    );
  });

  test("--no-header: fields have numbers, and nothing that is written has a header", async () => {
    const rows = 'ann,1\nbob,2\n"a,n",3\nann,4\n';
    write("bare.csv", rows);
    write("bare.tsv", "ann\tx\nbob\ty\n");
    const bare = (...words: string[]) => out([...words, "--no-header"]);
    expect(await bare("sort", "bare.csv", "--by", "2:desc:numeric")).toBe(
      'ann,4\n"a,n",3\nbob,2\nann,1\n',
    );
    expect(await bare("count", "bare.csv", "bare.csv", "--by", "1")).toBe(
      'ann,4\nbob,2\n"a,n",2\n',
    );
    expect(await bare("group", "bare.csv", "--by", "1", "--sum", "2", "--max", "2")).toBe(
      'ann,5,4\nbob,2,2\n"a,n",3,3\n',
    );
    expect(await bare("count", "bare.csv", "--by", "1", "--to", "json", "--top", "1")).toBe(
      '[\n{"1":"ann","count":2}\n]\n',
    );
    expect(await bare("join", "bare.csv", "bare.tsv", "--on", "1")).toBe(
      "ann,1,x\nbob,2,y\nann,4,x\n",
    );
    expect(await bare("join", "bare.csv", "bare.tsv", "--on", "1", "--to", "ndjson")).toMatch(
      /^\{"1":"ann","2":"1","2_right":"x"\}\n/,
    );
    await bare("split", "bare.csv", "--by", "1", "--out", "bare", "--drop-key");
    expect(ls("bare")).toEqual(["a,n.csv", "ann.csv", "bob.csv"]);
    expect(read("bare", "ann.csv")).toBe("1\n4\n");
    await bare("split", "bare.csv", "--by", "1", "--out", "bare-parts", "--partitions", "1");
    expect(read("bare-parts", "part-00000.csv")).toBe(rows);
    for (const input of [rows, gzipSync(rows)]) {
      const words = ["distinct", "--from", "csv", "--no-header", "--by", "1"];
      expect(await out(words, input)).toBe('ann,1\nbob,2\n"a,n",3\n');
    }
    expect(await out(["count", "--from", "csv", "--no-header", "--by", "1"], "")).toBe("");
    expect(await out(["sort", "--by", "a", "--to", "tsv", "--no-header"], '{"a":1,"b":2}\n')).toBe(
      "1\t2\n",
    );
    const pipe = spawnSync(
      "bash",
      [
        "-c",
        '"$0" "$1" count <(cat bare.csv) --from csv --no-header --by 1',
        process.execPath,
        BIN,
      ],
      { cwd, encoding: "utf8" },
    );
    expect(pipe.stdout).toBe('ann,2\nbob,1\n"a,n",1\n');
    write("wide.csv", "x,y,z\n");
    const wide = await run(["count", "bare.csv", "wide.csv", "--no-header", "--by", "1"]);
    expect(wide.err).toContain("wide.csv:1:1: the record has 3 fields where the first row has 2");
    for (const [words, message] of [
      [["sort", "bare.csv", "--no-header", "--by", "user"], "there are: 1, 2"],
      [["sort", "e.ndjson", "--no-header", "--by", "user"], "--no-header is for CSV and TSV"],
    ] as const) {
      const { code, err } = await run([...words]);
      expect(code).toBe(2);
      expect(err).toContain(message);
    }
    const ragged = await run(["sort", "--from", "csv", "--no-header", "--by", "1"], "1,2\n3\n");
    expect(ragged.err).toContain("input:2:1: the record has 1 field where the first row has 2");
  });

  test("--no-quotes: a quote is a character", async () => {
    write("plain.tsv", 'size\t"n"\n5" disk\t10\n"x\t9\n"x\t1.50\n');
    const plain = (...words: string[]) => out([...words, "--no-quotes"]);
    expect(await plain("count", "plain.tsv", "--by", "size")).toBe(
      'size\tcount\n"x\t2\n5" disk\t1\n',
    );
    expect(await plain("sort", "plain.tsv", "--by", '"n":numeric', "--to", "ndjson")).toBe(
      '{"size":"\\"x","\\"n\\"":"1.50"}\n{"size":"\\"x","\\"n\\"":"9"}\n{"size":"5\\" disk","\\"n\\"":"10"}\n',
    );
    expect(await plain("group", "plain.tsv", "--by", "size", "--min", '"n"', "--to", "csv")).toBe(
      'size,min_"n"\n5" disk,10\n"x,1.50\n',
    );
    expect(await plain("join", "plain.tsv", "plain.tsv", "--on", "size", "--type", "semi")).toBe(
      read("plain.tsv"),
    );
    expect((await plain("join", "plain.tsv", "plain.tsv", "--on", '"n"')).split("\n").at(1)).toBe(
      '5" disk\t10\t5" disk',
    );
    await plain("split", "plain.tsv", "--by", "size", "--out", "unquoted", "--drop-key");
    expect(ls("unquoted").map((name) => read("unquoted", name))).toContain('"n"\n9\n1.50\n');
    for (const [words, input, message] of [
      [["--to", "tsv"], '{"a":"x\\ty"}\n', "holds a delimiter or a line ending"],
      [["--to", "json"], '{"a":1}\n', "--no-quotes is for CSV and TSV"],
    ] as const) {
      expect((await run(["sort", "--by", "a", "--no-quotes", ...words], input)).err).toContain(
        message,
      );
    }
    const both = ["sort", "--from", "tsv", "--no-header", "--no-quotes", "--by", "2"];
    expect(await out(both, '"b\t2\n"a\t1\n')).toBe('"a\t1\n"b\t2\n');
  });

  test("columns of one name pass, and are refused where one of them is meant", async () => {
    write("twins.csv", "a,b,a\n1,2,3\n0,1,2\n");
    expect(await out(["sort", "twins.csv", "--by", "b"])).toBe("a,b,a\n0,1,2\n1,2,3\n");
    for (const [words, message] of [
      [["--by", "a"], "twins.csv has 2 columns named a (1, 3)"],
      [["--by", "b", "--to", "ndjson"], "two columns are named a"],
    ] as const) {
      const refused = await run(["sort", "twins.csv", ...words]);
      expect(refused).toMatchObject({ code: 2, out: "" });
      expect(refused.err).toContain(message);
    }
  });

  test("empty inputs", async () => {
    write("empty.ndjson", "");
    write("header.csv", "a,b");
    write("none.csv", "");
    expect(await out(["sort", "empty.ndjson", "--by", "a"])).toBe("");
    expect(await out(["sort", "header.csv", "--by", "a"])).toBe("a,b\n");
    expect(await out(["count", "none.csv"])).toBe("count\n0\n");
    await out(["split", "empty.ndjson", "--by", "a", "--out", "nothing"]);
    expect(ls("nothing")).toEqual([]);
    expect(await out(["sort", "empty.ndjson", "--by", "a", "--to", "json"])).toBe("[]\n");
  });

  test("a mistyped field is answered with the nearest", async () => {
    const cases: [string[], string][] = [
      [["sort", "e.ndjson", "--by", "usr"], "did you mean user?"],
      [["count", "c.csv", "--by", "a txt"], "did you mean a text?"],
      [["group", "e.ndjson", "--by", "user", "--sum", "sm"], "did you mean ms?"],
      [["join", "e.ndjson", "users.ndjson", "--on", "user=di"], "did you mean id?"],
    ];
    for (const [words, hint] of cases) {
      const ended = await run(words);
      expect(ended).toMatchObject({ code: 2, out: "" });
      expect(ended.err).toContain(hint);
    }
  });

  test("what is quoted of a record ends where it ends", async () => {
    const input = '{"a":{"b":1}}\r\n{"c":"next"}\n';
    for (const words of [
      ["count", "-", "--by", "a"],
      ["count", "-", "--by", "c"],
    ]) {
      const { code, err } = await run(words, input);
      expect(code).not.toBe(0);
      expect(err).not.toContain("next");
    }
  });

  test("a line without an end is refused by the name of its input", async () => {
    const { code, err } = await run(["count", "--memory", "1MB"], "x".repeat(1_100_000));
    expect(code).toBe(1);
    expect(err).toContain("The record of standard input at byte 0 is longer than");
  });

  test("a record that would take many times its length is refused, and one that passes is not", async () => {
    write("long.ndjson", `{"a":"${"x".repeat(2_000_000)}"}\n`);
    const refused = "The record of long.ndjson at byte 0 is longer than";
    const words = ["long.ndjson", "--memory", "8MB"];
    for (const command of [
      ["join", "long.ndjson", ...words, "--on", "a"],
      ["group", ...words, "--by", "a", "--last", "a"],
      ["sort", ...words, "--by", "a", "--to", "csv"],
      ["sort", ...words, "--by", "a", "-o", "long.parquet"],
    ]) {
      const { code, err } = await run(command);
      expect(code).toBe(1);
      expect(err).toContain(refused);
      expect(err).toContain("--memory");
    }
    const { code, out } = await run(["count", "long.ndjson", "--memory", "8MB"]);
    expect([code, out]).toEqual([0, expect.stringContaining("1")]);
  });

  test("malformed records: place and line, or set aside with exit code 3", async () => {
    write("bad.ndjson", `{"a":1}\n\n{"a":${"x".repeat(300)}}\n{"a":2}\n`);
    const failed = await run(["sort", "bad.ndjson", "--by", "a", "-o", "sorted.ndjson"]);
    expect(failed).toMatchObject({ code: 1, out: "" });
    expect(failed.err).toMatch(
      /^partd: bad\.ndjson:3:6: the record is not JSON: "\{\\"a\\":x+"\.\n$/,
    );
    expect(existsSync(join(cwd, "sorted.ndjson"))).toBe(false);
    const ended = await run(["sort", "bad.ndjson", "--by", "a", "--reject", "r.txt"]);
    expect(ended).toMatchObject({ code: 3, out: '{"a":1}\n{"a":2}\n' });
    expect(ended.err).toBe("partd: 1 malformed record is in r.txt\n");
    expect(read("r.txt")).toBe(`{"a":${"x".repeat(300)}}\n`);
  });

  test("JSON over several lines, and what is packed otherwise", async () => {
    expect((await run(["count"], '{\n  "a": 1\n}\n')).err).toContain(
      "jq -c . writes each in a line",
    );
    for (const array of ['[\n{"a":1}\n]\n', '[{"a":1},\n{"a":2}]\n']) {
      expect((await run(["count"], array)).err).toContain("is read by --from json");
    }
    expect((await run(["count"], '{"a":1}{"a":2}\n')).err).toContain(
      "Several objects in a line are no NDJSON: jq -c .",
    );
    expect((await run(["count"], '{"a":1}\n[{"a":1},\n')).err).not.toContain("--from json");
    expect((await run(["count", "--by", "a"], '{"a":{"b":1}}\n')).err).toContain(
      "has an object where its key should be; name one of its fields, as in user.id",
    );
    write("e.ndjson.bz2", "BZh91AY&SY");
    expect((await run(["count", "e.ndjson.bz2"])).err).toContain("packed with bzip2");
  });

  test("a format may be said as files are named", async () => {
    const words = ["count", "-", "--from", "JSONL", "--by", "a", "--to", "tab"];
    expect(await out(words, '{"a":1}\n')).toBe("a\tcount\n1\t1\n");
  });

  test("a folder for temporary data is there, or refused, and not made", async () => {
    for (const tmp of ["no-tmp", "no-tmp/below", "e.ndjson"]) {
      const { code, err } = await run(["sort", "e.ndjson", "--by", "user", "--tmp", tmp]);
      expect([code, err]).toEqual([2, `partd: there is no directory ${tmp} for --tmp\n`]);
    }
    expect(existsSync(join(cwd, "no-tmp"))).toBe(false);
  });

  test("a header that is a comment, and names with spaces around them", async () => {
    write("comment.csv", "# made by hand\na,b\n1,2\n");
    expect((await run(["count", "comment.csv", "--by", "a"])).err).toContain(
      "header is # made by hand: if that is a comment, leave it out, as tail",
    );
    write("spaced.csv", "a , b\n1,2\n");
    expect((await run(["count", "spaced.csv", "--by", "year"])).err).toContain(
      "there are: 'a ', ' b'",
    );
  });

  test("a name with a comma is told as it is to be typed", async () => {
    const { err } = await run(["count", "-", "--by", "last, first"], '{"last, first":1}\n');
    expect(err).toContain("did you mean last\\, first?\n");
    const typed = ["count", "-", "--by", "last\\, first"];
    expect(await out(typed, '{"last, first":1}\n')).toBe('{"last, first":1,"count":1}\n');
  });

  test("characters that nobody sees are escaped where a record is quoted", async () => {
    const { err } = await run(["count"], '{"a":1}\n\ufeff{"a":2}\n');
    expect(err).toContain('standard input:2:1: the record is not JSON: "\\ufeff{');
    // The first of two byte order marks is none of the header.
    expect(await out(["sort", "-", "--by", "b", "--from", "csv"], "\ufeff\ufeffa,b\n1,2\n")).toBe(
      "\ufeffa,b\n1,2\n",
    );
  });

  test("a record is found where it begins, not in a rejected one that ends like it", async () => {
    write("alike.ndjson", '{"a":1}\nx {"b":1}\n{"b":1}\n');
    const { err } = await run([
      "count",
      "alike.ndjson",
      "--by",
      "a",
      "--reject",
      "r.txt",
      "--force",
    ]);
    expect(err).toContain("partd: alike.ndjson:3:1: the record has no field a");
  });

  test("malformed records and those without the field are set aside once, while others are summed up", async () => {
    const lines = [
      '{"u":"a","n":1}',
      "{",
      '{"n":"none"}',
      '{"u":"b","n":2}',
      '{"u":"a","n":4}',
      "]",
    ];
    write("mixed.ndjson", lines.join("\n"));
    for (const [words, expected] of [
      [["--sum", "n"], '{"u":"a","sum_n":5}\n{"u":"b","sum_n":2}\n'],
      [
        ["--count", "--first", "n"],
        '{"u":"a","count":2,"first_n":1}\n{"u":"b","count":1,"first_n":2}\n',
      ],
      [[], '{"u":"a","n":1}\n{"u":"a","n":4}\n{"u":"b","n":2}\n'],
    ] as const) {
      const aside = ["--reject", "r.txt", "--missing", "m.ndjson", "--force"];
      const ended = await run(["group", "mixed.ndjson", "--by", "u", ...words, ...aside]);
      expect(ended.code).toBe(3);
      expect(ended.out.split("\n").sort()).toEqual(expected.split("\n").sort());
      expect([read("r.txt"), read("m.ndjson")]).toEqual(["{\n]\n", '{"n":"none"}\n']);
    }
  });

  test("a key that memory has no room for is refused with its place", async () => {
    for (const [length, code] of [
      [1_200_000, 0],
      [1_300_000, 1],
    ] as const) {
      write("long.ndjson", `{"k":"a"}\n{"k":"${"x".repeat(length)}"}\n`);
      for (const command of ["group", "sort", "count", "distinct"]) {
        const words = [command, "long.ndjson", "--by", "k", "--memory", "20MB", "-o", "o.ndjson"];
        const ended = await run([...words, "--force"]);
        expect([command, length, ended.code]).toEqual([command, length, code]);
        if (code === 0) continue;
        expect(ended.err).toContain(
          "long.ndjson:2:1: the record has a key of 1.30 MB; a key may have 1.25 MB",
        );
        expect(ended.err.length).toBeLessThan(400);
      }
    }
  });

  test("no file is written twice, and no input replaced by what was set aside", async () => {
    const line = '{"a":1}\n{"b":1}\n';
    write("own.ndjson", line);
    mkdirSync(join(cwd, "own"));
    for (const words of [
      ["sort", "own.ndjson", "--by", "a", "--reject", "own.ndjson", "--force"],
      ["group", "own.ndjson", "--by", "a", "--missing", "own/../own.ndjson", "--force"],
      ["sort", "own.ndjson", "--by", "a", "--reject", "same", "--out", "./same"],
      ["count", "own.ndjson", "--by", "a", "--reject", "same", "--missing", "own/../same"],
    ]) {
      expect([words, await run(words)]).toMatchObject([words, { code: 2, out: "" }]);
    }
    expect(read("own.ndjson")).toBe(line);
    expect(existsSync(join(cwd, "same"))).toBe(false);
    const twice = ["sort", "own.ndjson", "--by", "a", "--reject", "/dev/null", "-o", "/dev/null"];
    expect((await run(twice)).code).toBe(0);
    await out(["sort", "own.ndjson", "--by", "b", "-o", "own.ndjson", "--force"]);
    expect(read("own.ndjson")).toBe('{"b":1}\n{"a":1}\n');
    // A file of this name has the records of a value.
    for (const option of ["--missing", "--reject"]) {
      const split = ["split", "own.ndjson", "--by", "a", option, "own/1.ndjson", "-o", "own/"];
      const refused = await run([...split, "--force"]);
      expect(refused).toMatchObject({ code: 2, out: "" });
      expect(refused.err).toContain(`${option} own/1.ndjson lies in --out own/, whose files are`);
      expect(ls("own")).toEqual([]);
    }
    for (const shell of [
      "distinct own.ndjson >> own.ndjson",
      "distinct < own.ndjson >> own.ndjson",
    ]) {
      const { status, stderr } = spawnSync(
        "bash",
        ["-c", `"${process.execPath}" "${BIN}" ${shell}`],
        {
          cwd,
          encoding: "utf8",
        },
      );
      expect([status, stderr]).toEqual([2, expect.stringContaining("output is one of the inputs")]);
      expect(read("own.ndjson")).toBe('{"b":1}\n{"a":1}\n');
    }
  });

  test("nothing is left of a run that failed", async () => {
    const before = readdirSync(cwd);
    await run(["split", "bad.ndjson", "--by", "a", "--out", "never"]);
    await run([
      "group",
      "bad.ndjson",
      "--by",
      "a",
      "-o",
      "never.ndjson",
      "--reject",
      "never.txt",
      "--sum",
      "b",
    ]);
    expect(readdirSync(cwd)).toEqual(before);
  });
});

describe("a field that comes late", () => {
  const early = '{"user":"ann","ms":1}\n'.repeat(3000);
  write("early.ndjson", early);
  write("late.ndjson", `${early}{"user":"bob","ms":2,"vip":1}\n`);

  test.each([
    ["count", ["--by", "vip", "--missing", "skip"], '{"vip":1,"count":1}\n'],
    ["group", ["--by", "user", "--max", "vip", "--to", "csv"], /^user,max_vip\nann,\nbob,1\n$/],
    ["distinct", ["--by", "vip", "--missing", "skip"], '{"user":"bob","ms":2,"vip":1}\n'],
    ["sort", ["--by", "vip"], /^\{"user":"bob","ms":2,"vip":1\}\n/],
  ])("%s takes it, from a file, a second file and a pipe", async (command, options, expected) => {
    const late = read("late.ndjson");
    for (const [inputs, text] of [
      [["late.ndjson"], undefined],
      [["early.ndjson", "late.ndjson"], undefined],
      [["-"], late],
    ] as const) {
      const { code, out: found } = await run([command, ...inputs, ...options], text);
      expect(code).toBe(0);
      expect(found).toMatch(expected);
    }
  });

  test("a mistyped one is still told early, and one that never comes at the end", async () => {
    const told = async (...words: string[]) => {
      const { code, err, out: found } = await run(words);
      expect([code, found]).toEqual([2, ""]);
      return err;
    };
    expect(await told("sort", "late.ndjson", "--by", "usr")).toMatch(
      /no field usr in the first \d+ records of late.ndjson; did you mean user\?/,
    );
    for (const inputs of [["late.ndjson"], ["early.ndjson", "late.ndjson"]]) {
      const text = await told("count", ...inputs, "--by", "zzzz", "--missing", "skip");
      expect(text).toMatch(/there is no field zzzz in the \d+ records of .*; there are: user, ms/);
    }
  });
});

test("--json makes results NDJSON where nothing else says what they are", async () => {
  write("places.csv", "state,n\nNY,1\nCA,2\nNY,3\n");
  const counted = '{"state":"NY","count":2}\n{"state":"CA","count":1}\n';
  const results = async (...words: string[]) => {
    const { code, out: found } = await run(["count", "places.csv", "--by", "state", ...words]);
    expect(code).toBe(0);
    return found;
  };
  expect(await results("--json")).toBe(counted);
  expect(await results("--json", "--to", "csv")).toBe("state,count\nNY,2\nCA,1\n");
  expect(await results()).toBe("state,count\nNY,2\nCA,1\n");
});

test("two orders of one field, and an append of nothing, are told", async () => {
  expect(await run(["sort", "e.ndjson", "--by", "ms:desc:asc"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("--by ms:desc:asc says two orders of one field"),
  });
  expect(await run(["append", "nowhere", "e.ndjson"], "")).toMatchObject({
    code: 0,
    err: expect.stringContaining("nothing was appended to e.ndjson; files come after the key"),
  });
});
