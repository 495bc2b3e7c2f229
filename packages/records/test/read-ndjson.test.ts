import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type RecordError, readNdjson, type Source } from "@partd/records";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-records-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function all(source: Source): Promise<unknown[]> {
  const records: unknown[] = [];
  for await (const record of readNdjson(source)) records.push(record);
  return records;
}

test("lines of files, compressed or not, one after the other", async () => {
  const a = await file("a.ndjson", '\ufeff{"user":"ann"}\r\n\n{"user":"b\\u006fb"}');
  const b = await file("b.ndjson.gz", gzipSync('{"user":"cy"}\n'));
  expect(await all([a, b])).toEqual([{ user: "ann" }, { user: "bob" }, { user: "cy" }]);
});

test("an error names file, line, column and byte", async () => {
  const path = await file("bad.ndjson", '{"a":1}\n\n{"ä":tru}\n{"a":2}\n');
  const error = (await all(path).catch((e: unknown) => e)) as RecordError;
  expect(error).toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    path,
    line: 3,
    column: 9,
    offset: 18,
  });
  expect(error.message).toContain(`${path}:3:9 (byte 18)`);
});

test("an array over several lines is told from a damaged line", async () => {
  await expect(all(await file("array.json", '[\n{"a":1},\n{"a":2}\n]\n'))).rejects.toThrow(
    "Mend it or, if the file is one JSON array, read it with readJson.",
  );
  await expect(all(await file("tight.json", '[{"a":[1]},\n{"a":2}]\n'))).rejects.toThrow(
    "readJson",
  );
  await expect(all(await file("closed.json", "[1, x]\n"))).rejects.toThrow("Mend it, or take");
});

test("malformed records go to onReject, and the others are read", async () => {
  const path = await file("mixed.ndjson", '{"a":1}\n{"a":\n\xff\n{"a":2}\n');
  const rejected: string[] = [];
  const records: unknown[] = [];
  const onReject = ({ bytes }: { bytes: Uint8Array }) => {
    rejected.push(Buffer.from(bytes).toString());
  };
  for await (const record of readNdjson(path, { onReject })) records.push(record);
  expect(records).toEqual([{ a: 1 }, { a: 2 }]);
  expect(rejected).toEqual(['{"a":\n', "ÿ\n"]);
});

test("a scan gives keys, of which 1, 1.0 and 1e0 are one, and 1 and '1' two", async () => {
  const path = await file("keys.ndjson", '{"k":1}\n{"k":1.0}\n{"k":1e0}\n{"k":"1"}\n{}\n');
  const { format, ...records } = readNdjson(path);
  expect(records).toBeDefined();
  const scanner = format.scanner(["k"]);
  for await (const batch of readNdjson(path).batches()) {
    const scan = scanner.scan(batch);
    expect(Array.from({ length: 5 }, (_, i) => scan.key(i))).toEqual([1, 1, 1, "1", undefined]);
    expect(scan.hashLow[0]).toBe(scan.hashLow[1]);
    expect(scan.hashLow[0]).toBe(scan.hashLow[2]);
    expect(scan.hashLow[0]).not.toBe(scan.hashLow[3]);
    expect(scan.missing(4)).toBe(true);
  }
});
