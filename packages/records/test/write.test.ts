import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
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
  const rows = [{ a: 1, b: "x,y" }, { b: null, a: true, c: "left out" }, { a: new Date(0) }];
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
