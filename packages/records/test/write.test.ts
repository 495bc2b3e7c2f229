import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  readCsv,
  readJson,
  readNdjson,
  splitFile,
  writeCsv,
  writeJson,
  writeNdjson,
  writeTsv,
} from "@partd/records";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-records-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);
const text = (name: string) => readFile(at(name), "utf8");

test("lines of JSON pass byte for byte, in and out of an array", async () => {
  const lines = '{ "a" : 1.0 }\r\n\n{"b":"\\u00e4"}\n[1, 2]';
  await writeFile(at("in.ndjson"), lines);
  const written = await writeNdjson(readNdjson(at("in.ndjson")), at("out.ndjson"));
  expect(await text("out.ndjson")).toBe('{ "a" : 1.0 }\r\n{"b":"\\u00e4"}\n[1, 2]\n');
  expect(written).toEqual({ records: 3, bytes: 37 });
  await writeJson(readNdjson(at("in.ndjson")), at("out.json"));
  expect(await text("out.json")).toBe('[\n{ "a" : 1.0 }\r,\n{"b":"\\u00e4"},\n[1, 2]\n]\n');
  await writeNdjson(readJson(at("out.json")), at("again.ndjson.gz"));
  const again = gunzipSync(await readFile(at("again.ndjson.gz"))).toString();
  expect(again.split("\n").map((line) => line.trim())).toEqual([
    '{ "a" : 1.0 }',
    '{"b":"\\u00e4"}',
    "[1, 2]",
    "",
  ]);
  await writeJson([], at("empty.json"));
  expect(await text("empty.json")).toBe("[]\n");
});

test("a name that says another compression or a table is refused, and nothing is written", async () => {
  for (const name of ["a.ndjson.bz2", "a.xz", "a.ZIP", "a.parquet", "a.arrow"]) {
    await expect(writeNdjson([{ a: 1 }], at(name))).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining(`${name}: .`),
      path: at(name),
    });
  }
  expect((await readdir(folder)).filter((name) => /^\.?a\./.test(name))).toEqual([]);
  await writeNdjson([{ a: 1 }], at("upper.GZ"));
  expect(gunzipSync(await readFile(at("upper.GZ"))).toString()).toBe('{"a":1}\n');
});

test("what a CSV would read back as other text is quoted, or refused", async () => {
  for (const columns of [undefined, ["a"]]) {
    const rows = [{ "\ufeffa": "\ufeff1" }].map((row) => (columns ? { a: "\ufeff1" } : row));
    await writeCsv(rows, at("mark.csv"), { header: !columns });
    const back: unknown[] = [];
    for await (const row of readCsv(at("mark.csv"), { columns })) back.push(row);
    expect(back).toEqual(rows);
  }
  await expect(writeCsv([{ a: "x\ud83d" }], at("half.csv"))).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining("half a character"),
  });
});

test("rows of CSV pass byte for byte with the same columns, and are rewritten with others", async () => {
  await writeFile(at("in.csv"), 'a,b\r\n"1",x\r\n2,"y\n"\r\n');
  await writeCsv(readCsv(at("in.csv")), at("out.csv"));
  expect(await text("out.csv")).toBe('a,b\r\n"1",x\r\n2,"y\n"\r\n');
  await writeTsv(readCsv(at("in.csv")), at("out.tsv"));
  expect(await text("out.tsv")).toBe('a\tb\n1\tx\n2\t"y\n"\n');
  await writeCsv(readCsv(at("in.csv")), at("b.csv"), { columns: ["b"], header: false });
  expect(await text("b.csv")).toBe('x\n"y\n"\n');
  await writeNdjson(readCsv(at("in.csv")), at("csv.ndjson"));
  expect(await text("csv.ndjson")).toBe('{"a":"1","b":"x"}\n{"a":"2","b":"y\\n"}\n');
  await writeFile(at("head.csv"), "a,b\n");
  await writeCsv(readCsv(at("head.csv")), at("head2.csv"));
  expect(await text("head2.csv")).toBe("a,b\n");
});

test("objects become rows, and what has no place in one is refused", async () => {
  const rows = [{ a: 1, b: "x,y" }, { b: null, a: true, c: undefined }, { a: new Date(0) }];
  await writeCsv(rows, at("objects.csv"));
  expect(await text("objects.csv")).toBe('a,b\n1,"x,y"\ntrue,\n1970-01-01T00:00:00.000Z,\n');
  await writeCsv([{ a: "" }], at("one.csv"));
  expect(await text("one.csv")).toBe('a\n""\n');
  await expect(writeCsv([{ a: {} }], at("no.csv"))).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
  });
  await expect(writeNdjson([undefined], at("no.ndjson"))).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
  });
});

test("a field that the first record does not have is refused, not left out", async () => {
  const rows = [{ a: 1 }, { a: 2, b: 3 }];
  await expect(writeCsv(rows, at("later.csv"))).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining('the field "b"'),
  });
  await writeCsv(rows, at("later.csv"), { columns: ["a"] });
  expect(await text("later.csv")).toBe("a\n1\n2\n");
  await writeFile(at("later.ndjson"), '{"a":1}\n{"a":2,"b":3}\n');
  await expect(
    writeCsv(readNdjson<object>(at("later.ndjson")), at("no.csv")),
  ).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
  });
});

test("a stream of Node or of the web, a full disk, an abort", async () => {
  const chunks: Buffer[] = [];
  const node = new Writable({
    write(chunk, _, done) {
      chunks.push(chunk);
      done();
    },
  });
  await writeNdjson([1], node);
  const web = new WritableStream<Uint8Array>({
    write: (chunk) => void chunks.push(Buffer.from(chunk)),
  });
  await writeNdjson([2], web);
  expect(Buffer.concat(chunks).toString()).toBe("1\n2\n");
  await expect(writeNdjson([1], "/dev/full")).rejects.toMatchObject({
    code: "ERR_PARTD_IO",
    path: "/dev/full",
  });
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(writeNdjson([1], at("x"), { signal })).rejects.toThrow("enough");
});

test("a file may be written over itself, and changes only when all is written", async () => {
  const own = join(folder, "own");
  await mkdir(own);
  const path = join(own, "in.ndjson");
  const lines = '{"a":1}\n{"a":2}\n';
  await writeFile(path, lines);
  expect(await writeNdjson(readNdjson(path), path)).toEqual({ records: 2, bytes: 16 });
  expect(await readFile(path, "utf8")).toBe(lines);

  const stop = new AbortController();
  const aborted = async function* () {
    yield { a: 3 };
    stop.abort(new Error("enough"));
    yield { a: 4 };
  };
  const failing = async function* () {
    yield { a: 5 };
    throw new Error("the source fails");
  };
  const { signal } = stop;
  for (const target of [path, `${path}.gz`]) {
    await expect(writeNdjson(failing(), target)).rejects.toThrow("the source fails");
    await expect(writeNdjson(readNdjson(join(own, "none")), target)).rejects.toThrow("none");
  }
  await expect(writeNdjson(aborted(), path, { signal })).rejects.toThrow("enough");
  expect(await readFile(path, "utf8")).toBe(lines);
  expect(await readdir(own)).toEqual(["in.ndjson"]);

  const nowhere = writeNdjson([1], join(own, "none/out.ndjson"));
  await expect(nowhere).rejects.toThrow(`there is no directory ${join(own, "none")}.`);
});

test("arguments that are none are refused before anything is written", async () => {
  const refused = (call: () => Promise<unknown>, text: string) =>
    expect(call()).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining(text),
    });
  for (const write of [writeNdjson, writeJson, writeCsv, writeTsv] as const) {
    const call = write as (...given: unknown[]) => Promise<unknown>;
    const first = `${write.name}(records, target) takes the records first`;
    const path = at("refused");
    await refused(() => call(path, [{ a: 1 }]), `${first}, as in`);
    await refused(() => call(path, [{ a: 1 }]), `not ${JSON.stringify(path)}.`);
    await refused(() => call(5, path), `${first}`);
    await refused(() => call({ a: 1 }, path), "not an object.");
    await refused(() => call(undefined, path), "not undefined.");
    const behind = "takes a path or a stream behind the records, not";
    await refused(() => call([]), `${behind} undefined.`);
    await refused(() => call([], []), `${behind} a list.`);
    await refused(() => call([], ""), `${behind} "".`);
    await refused(() => call([], new URL("http://x/y")), `${behind} http://x/y.`);
    await refused(() => call([], path, { signal: 1 }), "takes an AbortSignal as signal, not 1.");
  }
  expect(await readdir(folder)).not.toContain("refused");
});

test("what JSON cannot hold is refused with its place, and dates become text", async () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const given: [unknown, string][] = [
    [
      { a: [1, { b: 2n }] },
      ".a[1].b is a bigint (make it a number or a text; as a column, Parquet",
    ],
    [{ list: [[], [0, Number.NaN]], "x y": 1 }, ".list[1][1] is NaN"],
    [{ "x y": Number.NEGATIVE_INFINITY }, '["x y"] is -Infinity'],
    [{ a: { n: 1 }, m: new Map([["k", Number.NaN]]) }, ".m is of the class Map"],
    [new Set([1]), "it is of the class Set"],
    [{ a: /x/ }, ".a is of the class RegExp"],
    [{ a: () => 1 }, ".a is a function"],
    [{ a: [undefined] }, ".a[0] is undefined"],
    [{ a: new Date(Number.NaN) }, ".a is an invalid Date"],
    [{ a: { toJSON: () => ({ n: 1n }) } }, ".a.n is a bigint"],
    [Symbol("x"), "it is a symbol"],
    [undefined, "it is undefined"],
    [circle, "circular"],
  ];
  for (const [record, text] of given) {
    for (const write of [writeNdjson, writeJson]) {
      await expect(write([record], at("no.json"))).rejects.toMatchObject({
        code: "ERR_PARTD_VALUE",
        message: expect.stringContaining(text),
      });
    }
  }
  class Point {
    readonly x = 1;
    readonly #hidden = 2;
    sum() {
      return this.x + this.#hidden;
    }
  }
  const part = { n: 1 };
  const held = [
    { when: new Date(0), gone: undefined, url: new URL("file:///x"), null: null },
    { point: new Point(), twice: [part, part, new Date(1)], bare: Object.create(null) },
  ];
  await writeNdjson(held, at("held.ndjson"));
  expect(await text("held.ndjson")).toBe(
    '{"when":"1970-01-01T00:00:00.000Z","url":"file:///x","null":null}\n' +
      '{"point":{"x":1},"twice":[{"n":1},{"n":1},"1970-01-01T00:00:00.001Z"],"bare":{}}\n',
  );
});

test("what is no row of CSV is refused by what it is", async () => {
  const given: [unknown, string][] = [
    [[{ a: 1 }, { b: 2 }], "lists, such as the pairs of a join"],
    [[{ a: 1 }, null], "lists, such as the pairs of a join"],
    [{ a: {} }, 'The field "a" holds an object:'],
    [{ a: () => 1 }, 'The field "a" holds a function:'],
    [{ a: new Date(Number.NaN) }, 'The field "a" holds an invalid Date:'],
    [5, "A row of CSV is an object of fields, not 5."],
    [null, "A row of CSV is an object of fields, not null."],
  ];
  for (const [row, text] of given) {
    await expect(writeCsv([row as object], at("no.csv"))).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining(text),
    });
  }
});

test("splitFile takes the format from the name", async () => {
  await writeFile(at("s.tsv"), 'a\tb\n1\t"\n"\n2\t3\n');
  await writeFile(at("s.ndjson"), '{"a":1}\n{"a":2}\n{"a":3}\n');
  expect(await splitFile(at("s.tsv"), 1)).toMatchObject([{ start: 4, end: 14 }]);
  expect(await splitFile(at("s.ndjson"), 3)).toMatchObject([
    { start: 0, end: 8 },
    { start: 8, end: 16 },
    { start: 16, end: 24 },
  ]);
  expect(await splitFile(at("again.ndjson.gz"), 3)).toBeUndefined();
  await expect(splitFile(at("none.csv"), 3)).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
});

test("parts begin and end at lines, however long these are", async () => {
  const lengths = [10, 300_000, 5, 4094, 4095, 4096, 70_000, 1, 1, 1, 150_000, 20];
  const lines = lengths.map((length, i) => `"${String(i).padEnd(length, "x")}"\n`);
  await writeFile(at("long.ndjson"), lines.join(""));
  const starts = new Set([0]);
  for (const line of lines) starts.add(Math.max(...starts) + line.length);
  for (const n of [2, 7, 40, 400]) {
    const parts = (await splitFile(at("long.ndjson"), n))!;
    expect(parts.length).toBeLessThanOrEqual(n);
    expect(parts.every(({ start, end }) => start < end && starts.has(end))).toBe(true);
    const ends = parts.slice(0, -1).map(({ end }) => end);
    expect(parts.map(({ start }) => start)).toEqual([0, ...ends]);
    expect(parts.at(-1)!.end).toBe(Math.max(...starts));
  }
});

// A device that is always full, of Linux.
(existsSync("/dev/full") ? test : test.skip)("a full disk is named, not an abort", async () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => ({ i, pad: "x".repeat(100) }));
  let isLeft = false;
  const source = (async function* () {
    try {
      yield* rows;
    } finally {
      isLeft = true;
    }
  })();
  await expect(writeNdjson(source, "/dev/full")).rejects.toMatchObject({
    code: "ERR_PARTD_IO",
    path: "/dev/full",
    message: expect.stringContaining("no space left on device"),
  });
  expect(isLeft).toBe(true);
  await expect(writeCsv(rows, "/dev/full")).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
});
