import { execFileSync, spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readArrow, readNdjson, readParquet } from "@partd/records";
import {
  Field,
  Int32,
  Map_,
  type RecordBatch,
  Struct,
  Table,
  TimestampMillisecond,
  tableFromArrays,
  tableToIPC,
  vectorFromArray,
} from "apache-arrow";
import type { SchemaElement } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";

let folder = "";
const at = (name: string) => join(folder, name);
const rows = Array.from({ length: 5000 }, (_, i) => ({ user: `u${i % 7}`, ms: i / 2 }));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-records-"));
  const table = tableFromArrays({
    user: rows.map((row) => row.user),
    ms: Float64Array.from(rows, (row) => row.ms),
  });
  const batches = [0, 2000, 4000].flatMap((from) => table.slice(from, from + 2000).batches);
  const cut = new Table(batches as RecordBatch[]);
  await writeFile(at("a.arrow"), tableToIPC(cut, "file"));
  await writeFile(at("a.arrows"), tableToIPC(cut, "stream"));
  const parquet = parquetWriteBuffer({
    columnData: [
      { name: "user", data: rows.map((row) => row.user), type: "STRING" },
      { name: "ms", data: rows.map((row) => row.ms), type: "DOUBLE" },
    ],
    rowGroupSize: 1000,
  });
  await writeFile(at("a.parquet"), new Uint8Array(parquet));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

test("Arrow: a file, a stream, both as streams, and batches", async () => {
  expect(await all(readArrow(at("a.arrow")))).toEqual(rows);
  expect(await all(readArrow(at("a.arrows")))).toEqual(rows);
  expect(await all(readArrow(createReadStream(at("a.arrow"))))).toEqual(rows);
  expect(await all(readArrow(createReadStream(at("a.arrows"))))).toEqual(rows);
  const batches = await all(readArrow(at("a.arrow")).recordBatches());
  expect(batches.map((batch) => batch.numRows)).toEqual([2000, 2000, 1000]);
  const users = rows.map(({ user }) => ({ user }));
  expect(await all(readArrow([at("a.arrow")], { columns: ["user"] }))).toEqual(users);
});

test("Arrow: compressed as a whole, and from a pipe with a name", async () => {
  for (const name of ["a.arrow", "a.arrows"]) {
    await writeFile(at(`${name}.gz`), gzipSync(await readFile(at(name))));
    expect(await all(readArrow(at(`${name}.gz`)))).toEqual(rows);
    const pipe = at(`${name}.pipe`);
    execFileSync("mkfifo", [pipe]);
    spawn("cp", [at(name), pipe]);
    expect(await all(readArrow(pipe))).toEqual(rows);
  }
});

test("Arrow: streams one behind the other, of other columns, and zeros at the end", async () => {
  const other = tableToIPC(tableFromArrays({ n: Int32Array.of(1) }), "stream");
  const stream = await readFile(at("a.arrows"));
  const cat = Buffer.concat([stream, other, stream, new Uint8Array(99)]);
  await writeFile(at("cat.arrows"), cat);
  expect(await all(readArrow(at("cat.arrows")))).toEqual([...rows, { n: 1 }, ...rows]);
  const bytes = (length: number) => createReadStream(at("cat.arrows"), { highWaterMark: length });
  expect(await all(readArrow(bytes(1 << 10)))).toEqual([...rows, { n: 1 }, ...rows]);
});

test("Arrow that is cut short, or followed by something else, is never shorter", async () => {
  const stream = tableToIPC(tableFromArrays({ n: Int32Array.of(1) }), "stream");
  const file = tableToIPC(tableFromArrays({ n: Int32Array.of(1) }), "file");
  // A stream may end without its marker, behind any message.
  const ends = [Buffer.from(stream).indexOf(Buffer.from("ffffffff", "hex"), 4), stream.length - 8];
  for (let end = 1; end < stream.length; end += end < stream.length - 20 ? 3 : 1) {
    const found = all(readArrow([stream.subarray(0, end)]));
    if (ends.includes(end)) expect((await found).length).toBe(ends.indexOf(end));
    else await expect(found).rejects.toThrow("it is cut short: the message at byte");
  }
  for (let end = file.length - 1; end >= 8; end -= 13) {
    await writeFile(at("cut"), file.subarray(0, end));
    await expect(all(readArrow(at("cut")))).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      path: at("cut"),
      message: expect.stringContaining("it is cut short, or something was written behind its end."),
    });
    await expect(all(readArrow([file.subarray(0, end)]))).rejects.toThrow("cut short");
  }
  const behind = [stream, Buffer.from("something else")];
  await expect(all(readArrow(behind))).rejects.toThrow(
    `no message begins at byte ${stream.length}.`,
  );
  await writeFile(at("empty"), "");
  await expect(all(readArrow(at("empty")))).rejects.toThrow("it is empty");
});

test("Arrow from a stream that stands still gives what has come, and can be given up", async () => {
  const stream = await readFile(at("a.arrows"));
  const half = new PassThrough();
  // The first message is the schema; the second, the first batch, ends where the third begins.
  const third = stream.indexOf(Buffer.from("ffffffff", "hex"), stream.length / 3);
  half.write(stream.subarray(0, third));
  const stop = new AbortController();
  const found = readArrow(half, { signal: stop.signal })[Symbol.asyncIterator]();
  for (const row of rows.slice(0, 2000)) expect((await found.next()).value).toEqual(row);
  const next = found.next();
  stop.abort();
  await expect(next).rejects.toThrow("aborted");
});

test("Arrow: a stream's own error stays, and it is closed when nobody reads on", async () => {
  const stream = await readFile(at("a.arrows"));
  const own = new Error("of the source");
  let closed = 0;
  async function* source(error?: Error) {
    try {
      yield stream.subarray(0, 60_000);
      if (error) throw error;
      yield stream.subarray(60_000);
    } finally {
      closed++;
    }
  }
  await expect(all(readArrow(source(own)))).rejects.toBe(own);
  for await (const row of readArrow(source())) {
    expect(row).toEqual(rows[0]);
    break;
  }
  expect(closed).toBe(2);
});

test("Parquet, row group by row group", async () => {
  expect(await all(readParquet(at("a.parquet")))).toEqual(rows);
  const users = [...rows, ...rows].map(({ user }) => ({ user }));
  const twice = [at("a.parquet"), at("a.parquet")];
  expect(await all(readParquet(twice, { columns: ["user"] }))).toEqual(users);
});

test("Parquet: a moment is in the millisecond below, also before 1970", async () => {
  const units = { micros: "MICROS", nanos: "NANOS" } as const;
  const schema: SchemaElement[] = [{ name: "root", num_children: 2 }];
  for (const [name, unit] of Object.entries(units)) {
    const logical_type = { type: "TIMESTAMP", isAdjustedToUTC: true, unit } as const;
    schema.push({ name, type: "INT64", repetition_type: "REQUIRED", logical_type });
  }
  const micros = [-1n, -1000n, -1001n, 1999n];
  const columnData = [
    { name: "micros", data: micros },
    { name: "nanos", data: micros.map((one) => one * 1000n) },
  ];
  const written = parquetWriteBuffer({ schema, columnData });
  await writeFile(at("moments.parquet"), new Uint8Array(written));
  const expected = [-1, -1, -2, 1].map((ms) => ({ micros: new Date(ms), nanos: new Date(ms) }));
  expect(await all(readParquet(at("moments.parquet")))).toEqual(expected);
});

test("what is not of the format is an error that names the file", async () => {
  await writeFile(at("text"), '{"a":1}\n{"a":2}\n{"a":3}\n');
  const expected = { code: "ERR_PARTD_CORRUPT", path: at("text") };
  await expect(all(readArrow(at("text")))).rejects.toMatchObject(expected);
  await expect(all(readParquet(at("text")))).rejects.toMatchObject(expected);
  await expect(all(readArrow(at("none")))).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
  await expect(all(readParquet(at("none")))).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
  await writeFile(at("secret"), "PARE0123456789PARE");
  await expect(all(readParquet(at("secret")))).rejects.toThrow("it is encrypted");
  await expect(all(readArrow(at("a.parquet")))).rejects.toThrow("is Parquet, no Arrow");
  await expect(all(readParquet(at("a.arrow")))).rejects.toThrow("is Arrow, no Parquet");
  await expect(all(readNdjson(at("a.arrows")))).rejects.toThrow("is Arrow, no text");
  await writeFile(at("cut"), (await readFile(at("a.parquet"))).subarray(0, -1));
  await expect(all(readParquet(at("cut")))).rejects.toThrow("it is cut short, or something was");
  await writeFile(at("packed"), gzipSync(await readFile(at("a.parquet"))));
  await expect(all(readParquet(at("packed")))).rejects.toThrow(
    "packed with gzip, which is not read",
  );
  await writeFile(at("empty"), "");
  await expect(all(readParquet(at("empty")))).rejects.toThrow("it is empty");
  await expect(all(readParquet("/dev/null"))).rejects.toThrow("is no file with an end");
  const streamed = readParquet(createReadStream(at("text")) as never);
  await expect(all(streamed)).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
});

test("Parquet: intervals are durations, and beside them other columns are read", async () => {
  const interval = { type: "FIXED_LEN_BYTE_ARRAY", type_length: 12, converted_type: "INTERVAL" };
  const optional = { repetition_type: "OPTIONAL" };
  const schema = [
    { name: "root", num_children: 2 },
    { name: "a", type: "INT64", ...optional },
    { name: "lasts", ...interval, ...optional },
  ];
  const bytes = new Uint8Array(Uint32Array.of(14, 3, 1500).buffer);
  const columnData = [
    { name: "a", data: [1n, 2n] },
    { name: "lasts", data: [bytes, null] },
  ];
  const file = parquetWriteBuffer({ schema: schema as SchemaElement[], columnData });
  await writeFile(at("interval.parquet"), new Uint8Array(file));
  expect(await all(readParquet(at("interval.parquet")))).toEqual([
    { a: 1n, lasts: "P14M3DT1.5S" },
    { a: 2n, lasts: null },
  ]);
  const chosen = readParquet(at("interval.parquet"), { columns: ["a"] });
  expect(await all(chosen)).toEqual([{ a: 1n }, { a: 2n }]);
});

test("keys of maps that are moments are ISO 8601, in any time zone", async () => {
  const types = {
    days: { type: "INT32", converted_type: "DATE" },
    millis: { type: "INT64", converted_type: "TIMESTAMP_MILLIS" },
    micros: { type: "INT64", converted_type: "TIMESTAMP_MICROS" },
    nanos: {
      type: "INT64",
      logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "NANOS" },
    },
    lasts: { type: "FIXED_LEN_BYTE_ARRAY", type_length: 12, converted_type: "INTERVAL" },
    text: { type: "BYTE_ARRAY", converted_type: "UTF8" },
  };
  const keys = {
    days: -1,
    millis: -1n,
    micros: -1n,
    nanos: -1n,
    lasts: new Uint8Array(Uint32Array.of(0, 1, 0).buffer),
    text: "1",
  };
  const names = Object.keys(types) as (keyof typeof types)[];
  const schema = names.flatMap((name) => [
    { name, converted_type: "MAP", num_children: 1, repetition_type: "OPTIONAL" },
    { name: "key_value", num_children: 2, repetition_type: "REPEATED" },
    { name: "key", repetition_type: "REQUIRED", ...types[name] },
    { name: "value", repetition_type: "OPTIONAL", type: "INT64" },
  ]);
  const file = parquetWriteBuffer({
    schema: [{ name: "root", num_children: names.length }, ...schema] as SchemaElement[],
    columnData: names.map((name) => ({ name, data: [new Map([[keys[name], 1n]])] })),
  });
  await writeFile(at("maps.parquet"), new Uint8Array(file));
  const before = "1969-12-31T23:59:59.999Z";
  expect(await all(readParquet(at("maps.parquet")))).toEqual([
    {
      days: { "1969-12-31T00:00:00.000Z": 1n },
      millis: { [before]: 1n },
      micros: { [before]: 1n },
      nanos: { [before]: 1n },
      lasts: { P0M1DT0S: 1n },
      text: { 1: 1n },
    },
  ]);

  const entry = new Struct<{ key: TimestampMillisecond; value: Int32 }>([
    new Field("key", new TimestampMillisecond("UTC")),
    new Field("value", new Int32()),
  ]);
  const type = new Map_(new Field("entries", entry));
  const column = vectorFromArray([new Map([[new Date(-1), 1]])], type);
  await writeFile(at("maps.arrow"), tableToIPC(new Table({ column }), "file"));
  expect(await all(readArrow(at("maps.arrow")))).toEqual([{ column: { [before]: 1 } }]);
});
