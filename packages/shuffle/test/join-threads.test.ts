import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readNdjson } from "@partd/records";
import { join } from "@partd/shuffle";
import { LITTLE } from "./workload.js";

// Each file is a part of the left side at least, which any thread may take.

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-join-threads-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const KEYS = ['"\\u0061"', '"a"', "1", "1.0", "null", "[1,null]", '"é"'];

function lineOf(i: number, keys: number, more = ""): string {
  const key = i % 9 === 4 ? KEYS[i % KEYS.length] : `"k${(Math.imul(i, 0x9e3779b1) >>> 8) % keys}"`;
  return i % 31 === 7 ? `{"i":${i}}\r\n` : `{"user":${key},"i":${i}${more}}\n`;
}

function filesOf(name: string, files: number, lines: number, keys: number): string[] {
  return Array.from({ length: files }, (_, f) => {
    const path = joinPath(dir, `${name}-${f}.ndjson`);
    const text = Array.from({ length: lines }, (_, i) => lineOf(f * lines + i, keys));
    // A last line without a newline, too.
    writeFileSync(path, f % 2 ? text.join("").trimEnd() : text.join(""));
    return path;
  });
}

async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const list: Uint8Array[] = [];
  for await (const piece of pieces) list.push(piece);
  return Buffer.concat(list).toString();
}

/** Streams are read by one thread, record by record. */
const streamed = (paths: readonly string[]) =>
  readNdjson(paths.map((path) => Buffer.from(`${readFileSync(path, "utf8").trimEnd()}\n`)));

describe("lines joined by threads", () => {
  test("are those of one, in the order of the left side", async () => {
    const left = filesOf("left", 11, 300, 200);
    const right = filesOf("right", 2, 150, 250);
    for (const kind of ["inner", "left", "semi", "anti", "right", "full"] as const) {
      const wanted = await textOf(
        join(streamed(left), streamed(right), { by: "user", kind }).bytes(),
      );
      expect(wanted.length).toBeGreaterThan(10_000);
      for (const threads of [1, 2, 3]) {
        let records = 0;
        const onProgress = (told: { records: number }) => {
          records = told.records;
        };
        const options = { by: "user", kind, threads, onProgress } as const;
        expect(await textOf(join(readNdjson(left), readNdjson(right), options).bytes())).toBe(
          wanted,
        );
        expect(records).toBeGreaterThanOrEqual(3300);
      }
    }
  });

  test("by other fields on the right, and by several", async () => {
    const left = filesOf("left", 3, 300, 20);
    const right = filesOf("right", 1, 90, 25);
    const renamed = joinPath(dir, "renamed.ndjson");
    writeFileSync(
      renamed,
      readFileSync(right[0]!, "utf8").replaceAll('"user"', '"a much longer name"'),
    );
    for (const fields of [
      { by: "user", rightBy: "a much longer name" },
      { by: ["user", "i"], rightBy: ["a much longer name", "i"] },
    ] as const) {
      const wanted = await textOf(join(streamed(left), streamed([renamed]), fields).bytes());
      const options = { ...fields, threads: 2 };
      expect(await textOf(join(readNdjson(left), readNdjson(renamed), options).bytes())).toBe(
        wanted,
      );
    }
  });

  test("a side that is not a plain file, or empty, is joined as ever", async () => {
    const [file] = filesOf("left", 1, 90, 20);
    const empty = joinPath(dir, "empty.ndjson");
    writeFileSync(empty, "");
    const gzipped = joinPath(dir, "left.ndjson.gz");
    writeFileSync(gzipped, gzipSync(readFileSync(file!)));
    const lines = async (left: string, right: string) => {
      const options = { by: "user", kind: "left", threads: 2 } as const;
      return (await textOf(join(readNdjson(left), readNdjson(right), options).bytes())).length;
    };
    const whole = await lines(file!, file!);
    expect(await lines(gzipped, file!)).toBe(whole);
    expect(await lines(file!, gzipped)).toBe(whole);
    const lone = readFileSync(file!, "utf8").length + 90 * "[,null]".length;
    for (const none of [empty, "/dev/null"]) {
      expect(await lines(none, file!)).toBe(0);
      expect(await lines(file!, none)).toBe(lone);
    }
  });

  test("a right side that memory has no room for is spread as ever", async () => {
    const left = filesOf("left", 3, 300, 2000);
    const right = filesOf("right", 3, 4000, 2000);
    const options = { by: "user", memory: LITTLE } as const;
    const lines = (text: string) => text.split("\n").toSorted().join("\n");
    const wanted = lines(await textOf(join(streamed(left), streamed(right), options).bytes()));
    for (const threads of [1, 2]) {
      const output = join(readNdjson(left), readNdjson(right), { ...options, threads });
      expect(lines(await textOf(output.bytes())) === wanted).toBe(true);
    }
  });

  test("a record too long for the scanner's memory is joined, and all behind it", async () => {
    const left = filesOf("left", 3, 50, 20);
    const long = `${lineOf(1, 20)}{"user":"k3","long":"${"x".repeat(33 << 20)}"}\n${lineOf(3, 20)}`;
    writeFileSync(left[1]!, long);
    const right = filesOf("right", 1, 30, 20);
    const options = { by: "user", kind: "left", threads: 2 } as const;
    const wanted = await textOf(join(streamed(left), streamed(right), options).bytes());
    const found = await textOf(join(readNdjson(left), readNdjson(right), options).bytes());
    expect(found === wanted).toBe(true);
  });

  test("threads are not far ahead of who reads", async () => {
    const left = filesOf("many", 6, 12, 1);
    const right = joinPath(dir, "wide.ndjson");
    const pad = `,"pad":"${"x".repeat(2000)}"`;
    writeFileSync(right, Array.from({ length: 500 }, (_, i) => lineOf(i, 1, pad)).join(""));
    const wanted = await textOf(join(streamed(left), streamed([right]), { by: "user" }).bytes());
    expect(wanted.length).toBeGreaterThan(40 << 20);
    const output = join(readNdjson(left), readNdjson(right), { by: "user", threads: 3 });
    expect((await textOf(output.bytes())) === wanted).toBe(true);
  });

  test("a malformed record ends it, the first of the input, behind the lines before it", async () => {
    const left = filesOf("bad", 6, 20, 5);
    writeFileSync(left[2]!, '{"user":"k1","i":1}\n{"user":"k1",}\n');
    writeFileSync(left[4]!, "nothing\n");
    const right = filesOf("right", 1, 30, 5);
    for (const threads of [1, 3]) {
      const output = join(readNdjson(left), readNdjson(right), { by: "user", threads });
      const fault = { code: "ERR_PARTD_CORRUPT", path: left[2], line: 2 };
      await expect(textOf(output.bytes())).rejects.toMatchObject(fault);
      const turned = join(readNdjson(right), readNdjson(left), { by: "user", threads });
      await expect(textOf(turned.bytes())).rejects.toMatchObject(fault);
    }
  });

  test("a signal ends it, and so does who leaves", async () => {
    const left = filesOf("left", 6, 20, 5);
    const right = filesOf("right", 1, 30, 5);
    for (const threads of [1, 3]) {
      const abort = new AbortController();
      const options = { by: "user", threads, signal: abort.signal } as const;
      const output = join(readNdjson(left), readNdjson(right), options).bytes();
      const reading = (async () => {
        for await (const _ of output) abort.abort(new Error("enough"));
      })();
      await expect(reading).rejects.toThrow("enough");
      for await (const _ of join(readNdjson(left), readNdjson(right), {
        by: "user",
        threads,
      }).bytes())
        break;
    }
  });
});
