import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readArrow, readParquet } from "@partd/records";
import { type RecordBatch, Table, tableFromArrays, tableToIPC } from "apache-arrow";
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
  const streamed = readParquet(createReadStream(at("text")) as never);
  await expect(all(streamed)).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
});
