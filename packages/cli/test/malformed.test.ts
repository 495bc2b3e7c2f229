import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "@jest/globals";
import { BIN, partd, scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);

const latin1 = (text: string) => Buffer.from(text, "latin1");

/** Lines that are no JSON, each for a reason of its own. */
const LINES = [
  "{",
  "}",
  "[",
  "]",
  "{]",
  "[}",
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  '{"a":,}',
  '{"a"}',
  '{"a" 1}',
  "{a:1}",
  "{'a':1}",
  '{"a":1}}',
  '{"a":1} {"a":2}',
  '{"a":1},',
  "nul",
  "nulll",
  "True",
  "NaN",
  "Infinity",
  "-Infinity",
  "undefined",
  "01",
  "-",
  "+1",
  "1.",
  ".5",
  "1e",
  "1e+",
  "0x10",
  "1_000",
  '"',
  '"a',
  '"\\x"',
  '"\\u12"',
  '"\\u12g4"',
  '"a\tb"',
  '"a\u0000b"',
  "'a'",
  "// comment",
  "/* c */ {}",
  '{"a":1 /* c */}',
  "[1,]",
  "[,1]",
  "[1 2]",
  "[1,,2]",
  '{"a":"b',
  '{"a":[1,{"b":2]}',
  '{"a":{"b":1}',
  '{"a":1,"b"}',
  '{,"a":1}',
  '{"a"::1}',
  '{"a":1:2}',
  "{1:2}",
  "{null:1}",
  '\u00ff{"a":1}',
  '{"a":"\u00ff"}',
  '{"a":"\u00c3"}',
  '{"a":"\u00ed\u00a0\u0080"}',
  '{"\u00fe":1}',
  "\u0000",
  "\u0001{}",
  '{"a":1}\u0000',
  "\u001b[31m",
  "<xml/>",
  "a,b,c",
  "---",
  "{{}}",
  "[[[",
  "\u00ef\u00bb{}",
  '{"a":1}x',
  "x{}",
  '{"a":truefalse}',
  '{"a":tru}',
  '{"a":-}',
  '{"a":1.e5}',
  '{"a":"\\',
  '{"a":"\\"}',
  '"\\uD800',
  "\\",
  "^",
  "\u007f",
].map((line) => latin1(`{"a":0}\n${line}\n`));

const CSV = [
  "a,b\n1,2,3\n",
  "a,b\n1\n",
  'a,b\n"1,2\n',
  'a,b\n1,"2\n3,4\n',
  'a,b\n"1"x,2\n',
  'a,b\n1,x"y\n',
  'a,b\n"a""b,2\n',
  "a,b\n1,2\n\n3\n",
  "a,b\n,,\n",
  'a,b\n"',
  'a,b\n"""',
  'a,b\n1,2"3"\n',
  "a,b\n\u00ff\u00fe\n",
  'a,"b\n1,2\n',
  '"\n',
  'a,b\n"x"y"z",1\n',
  'a,b\n1,"2" \n',
  'a,b\n 1,"2""\n',
  "b,c\n1,2\n",
  "\u00ff,b\n1,2\n",
  "a\n1,\n",
  'a,b\n"1","2""\n',
].map(latin1);

const ARRAYS = [
  "",
  "{",
  "[",
  "[1",
  "[1,",
  "[,]",
  "[1]]",
  "[1] 2",
  "{}",
  '{"a":1}',
  "[{}",
  '[{"a":1}',
  '[{"a":1},]',
  '[{"a":1}{"a":2}]',
  "[}",
  "[]]",
  '["',
  '["\\"]',
  "1",
  "null",
  "[[1]",
  "[nul]",
  "[{]",
  "[ ",
  "]",
  "[1 2]",
  "x[1]",
  "[01]",
  '[{"a":[}]',
].map(latin1);

const PACKED = [
  gzipSync('{"a":1}\n').subarray(0, -5),
  gzipSync('{"a":1}\n').subarray(0, 12),
  Buffer.concat([gzipSync('{"a":1}\n').subarray(0, 20), Buffer.alloc(20, 7)]),
  Buffer.from([0x1f, 0x8b]),
  Buffer.from([0x1f, 0x8b, 8, 0]),
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x19, 0x00]),
  Buffer.from("PK\u0003\u0004"),
  Buffer.from([0xff, 0xfe, 0x7b, 0, 0x7d, 0]),
  Buffer.alloc(100_000),
  Buffer.alloc(100_000, 0xff),
  Buffer.alloc(1_000_000, "["),
  Buffer.alloc(1_000_000, '{"a":'),
  Buffer.alloc(100_000, '"'),
  Buffer.from(`{"a":${"[".repeat(100_000)}`),
  Buffer.from("KLUv/SQIQQAAeyJhIjoxfQr9cjJy", "base64").subarray(0, 12),
];

/** Tables that are cut short. */
const TABLES = (["parquet", "arrow"] as const).flatMap((format) => {
  const path = join(cwd, `whole.${format}`);
  spawnSync(process.execPath, [BIN, "distinct", "-", "-o", path], { input: '{"a":1,"b":"x"}\n' });
  const whole = readFileSync(path);
  return [0, 1, 4, 8, 30, whole.length >> 1, whole.length - 9, whole.length - 4].map(
    (length) => [format, whole.subarray(0, length)] as const,
  );
});

const COMMANDS: readonly (readonly string[])[] = [
  ["sort", "--by", "a"],
  ["split", "--by", "a", "--out"],
  ["group", "--by", "a", "--count"],
  ["distinct", "--by", "a"],
  ["count", "--by", "a"],
];

const ALL: readonly (readonly [string, Buffer])[] = [
  ...LINES.map((bytes) => ["ndjson", bytes] as const),
  ...CSV.map((bytes) => ["csv", bytes] as const),
  ...CSV.map((bytes) => ["tsv", latin1(bytes.toString("latin1").replaceAll(",", "\t"))] as const),
  ...ARRAYS.map((bytes) => ["json", bytes] as const),
  ...TABLES.filter(([format, bytes]) => format === "parquet" || bytes.length < 200),
  ...PACKED.flatMap((bytes) =>
    (["ndjson", "csv", "json", "parquet", "arrow"] as const).map(
      (format) => [format, bytes] as const,
    ),
  ),
];

test(`${ALL.length} malformed inputs: an error in a line or two, no crash, and no output`, async () => {
  expect(ALL.length).toBeGreaterThanOrEqual(250);
  const accepted: string[] = [];
  for (const [i, [format, bytes]] of ALL.entries()) {
    writeFileSync(join(cwd, `${i}.${format}`), bytes);
    const [name, ...words] = COMMANDS[i % COMMANDS.length] as string[];
    const out = `out-${i}`;
    const output = name === "split" ? [out] : ["-o", out];
    const end = await runner.try([name as string, `${i}.${format}`, ...words, ...output]);
    const told = "err" in end ? end.err : end.died;
    const what = `${format} ${JSON.stringify(bytes.toString("latin1").slice(0, 60))}: ${told}`;
    if ("code" in end && end.code === 0) {
      accepted.push(what);
      continue;
    }
    expect([what, "code" in end && (end.code === 1 || end.code === 2)]).toEqual([what, true]);
    expect(told).not.toMatch(
      /^\s+at .*:\d+:\d+|node:internal|UnhandledPromise|\bundefined\b.*is not/m,
    );
    expect(what.length).toBeLessThan(1000);
    expect(told).toMatch(/^partd: /);
    expect([what, existsSync(join(cwd, out))]).toEqual([what, false]);
  }
  expect(accepted).toEqual([]);
});

test("a few of them, each in a process of its own: the same answers", async () => {
  for (const [format, text] of [
    ["ndjson", '{"a":0}\n{"a":1,}\n'],
    ["csv", 'a,b\n"1,2\n'],
    ["json", "[1,"],
  ] as const) {
    writeFileSync(join(cwd, `one.${format}`), text);
    const words = ["sort", `one.${format}`, "--by", "a", "-o", "one"];
    expect(await partd(words, { cwd })).toEqual(await runner.run(words));
  }
});

test("what is strange, and no fault: numbers beyond all, texts of any length, names of objects", async () => {
  const lines = [
    '{"a":1,"b":1e999}',
    '{"a":-1,"b":-1e999}',
    '{"a":1E-999}',
    `{"a":"${"x".repeat(3_000_000)}"}`,
  ];
  const input = [...lines, '{"a":"\\u0000"}', '{"a":"__proto__","__proto__":1}'].join("\n");
  const { code, err, out } = await partd(["sort", "-", "--by", "a"], { cwd, input });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out.split("\n").sort()).toEqual(["", ...input.split("\n")].sort());
});

test("UTF-16 is called by its name, in each format and with its mark or without", async () => {
  const texts = {
    "16.ndjson": '{"a":1}\n{"a":2}\n',
    "16.json": '\ufeff[{"a":1}]',
    "16.csv": "\ufeffa,b\n1,2\n",
    "16.tsv": "\ufeffa\tb\n1\t2\n",
  };
  for (const [name, text] of Object.entries(texts)) {
    const little = Buffer.from(text, "utf16le");
    for (const bytes of [little, Buffer.from(little).swap16()]) {
      writeFileSync(join(cwd, name), bytes);
      const { code, err } = await runner.run(["sort", name, "--by", "a"]);
      expect([code, err]).toEqual([
        1,
        expect.stringMatching(/^partd: 16\.\w+ is UTF-16, and UTF-8/),
      ]);
    }
  }
  const csv = Buffer.from("a,b\n1,2\n", "utf16le");
  for (const input of [csv, csv.swap16()]) {
    const { err } = await runner.run(["count", "-", "--from", "csv"], input);
    expect(err).toMatch(/^partd: standard input is UTF-16, and UTF-8/);
  }
  // NULs alone make none.
  writeFileSync(join(cwd, "0.ndjson"), Buffer.alloc(100));
  expect((await runner.run(["sort", "0.ndjson", "--by", "a"])).err).toMatch(
    /the record is not JSON/,
  );
});

test("tables and what is packed otherwise are called by their names, and JSON of a pipe is counted in bytes", async () => {
  await runner.run(["sort", "-", "--by", "a", "-o", "table.parquet"], '{"a":1}\n');
  const table = readFileSync(join(cwd, "table.parquet"));
  for (const from of ["ndjson", "json", "csv", "tsv"]) {
    for (const words of [["-"], ["table.parquet"]]) {
      const { code, err } = await runner.run(["count", ...words, "--from", from], table);
      expect([code, err]).toEqual([
        1,
        expect.stringMatching(
          /^partd: (standard input|table.parquet) is Parquet, no text: say --from parquet\n$/,
        ),
      ]);
    }
  }
  const { err } = await runner.run(["count", "-", "--from", "json"], '[{"a":1},\n,2]');
  expect(err).toBe('partd: standard input, byte 10: the record has no item before this: ",2]".\n');
});

test("rows that other programs would read otherwise are told with what reads them", async () => {
  for (const [input, words, told] of [
    ['a;b\n1;"x"\n', [], "Its header is a;b: does it need --delimiter ';'?\n"],
    ["a|b\n1|2\n", ["--by", "b"], "its header is a|b: does it need --delimiter '|'?\n"],
    [
      "sep=;\na;b;c\n1;2;3\n",
      ["--delimiter", ";"],
      "leave it out, as tail -n +2 FILE > NEW does.\n",
    ],
    ["a,b\n1,2\n", ["--by", "b", "--delimiter", ";"], "--from csv, or --delimiter ','?\n"],
    ['a,b\n5" x,2\n', [], ': "5\\" x,2". --no-quotes takes quotes as characters.\n'],
    [
      latin1("a,b\nK\xf6ln,2\nBonn,3\n"),
      [],
      ',2". If it is of Windows, convert it first, as iconv',
    ],
    ["a\n1\nx,y\n", [], 'the record has 2 fields where the header has 1: "x,y".\n'],
  ] as const) {
    const { code, err } = await runner.run(["count", "--from", "csv", ...words], input);
    expect([input, code, err]).toEqual([input, expect.any(Number), expect.stringContaining(told)]);
    expect(code).not.toBe(0);
  }
  const sum = ["group", "--from", "csv", "--delimiter", ";", "--sum", "b"];
  expect((await runner.run(sum, "a;b\nx;1.262,15\n")).err).toContain(
    '"1.262,15" for --sum b, which is not a number: a number has a point, and no comma: "x;',
  );
});

test("what was asked for in a wrong way is answered with the right one", async () => {
  writeFileSync(join(cwd, "array.ndjson"), '[{"a":1},{"a":2}]\n');
  writeFileSync(join(cwd, "rows.csv"), "a,b\n1,2\n");
  const told = async (...words: string[]) => {
    const { code, err } = await runner.run(words);
    expect(code).toBe(2);
    return err;
  };
  expect(await told("count", "array.ndjson", "--by", "a")).toMatch(
    "there is no field a in the first record of array.ndjson; there are arrays; --from json reads",
  );
  const split = ["split", "rows.csv", "--by", "a", "--out", "parts"];
  expect(await told(...split, "--to", "parquet")).toMatch(
    "partd split has no --to: the files have the format of the inputs",
  );
  expect(await told(...split, "--too", "x")).toMatch("unknown option '--too'");
  for (const end of ["parquet", "csv.gz", "tsv"]) {
    expect(await told(...split, "--name", `{a}.${end}`)).toMatch(
      "what is written is csv, not packed; end it in .csv",
    );
  }
});
