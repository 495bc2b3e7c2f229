import { spawn, spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { appendFile, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  openPart,
  type Records,
  type RecordsPart,
  readCsv,
  readJson,
  readNdjson,
  type Source,
} from "@partd/records";
import { describeReal, realPart } from "tooling/real-part";
import { unzstd } from "../src/source/compression.js";

let folder = "";
const at = (name: string) => join(folder, name);
const lines = Array.from(
  { length: 20_000 },
  (_, i) => `{"i":${i},"pad":"${"é".repeat(i % 50)}"}\n`,
);
const text = lines.join("");
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-records-"));
  await writeFile(at("a"), text);
  // Two members, the second of which begins inside a record.
  const half = Buffer.from(text).subarray(0, 500_001);
  const rest = Buffer.from(text).subarray(500_001);
  await writeFile(at("a.gz"), Buffer.concat([gzipSync(half), gzipSync(rest)]));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function numbers(source: Source): Promise<number[]> {
  const found: number[] = [];
  for await (const { i } of readNdjson<{ i: number }>(source)) found.push(i);
  return found;
}

const all = Array.from({ length: 20_000 }, (_, i) => i);

async function* each<T>(...items: T[]): AsyncGenerator<T> {
  yield* items;
}

const sources: Record<string, () => Source> = {
  "a path": () => at("a"),
  "a file URL": () => pathToFileURL(at("a")),
  "a list of one path": () => [at("a")],
  "what a glob gives": () => each(at("a")),
  "gzip of two members": () => at("a.gz"),
  "a stream of Node": () => createReadStream(at("a")),
  "a stream of Node with an encoding": () => createReadStream(at("a"), "utf8"),
  "a stream of Node that is gzip": () => createReadStream(at("a.gz")),
  "a stream of the web": () =>
    Readable.toWeb(createReadStream(at("a"))) as ReadableStream<Uint8Array>,
  "chunks of bytes": () => [Buffer.from(text.slice(0, 100)), Buffer.from(text.slice(100))],
  "gzip, a byte at a time": () => Array.from(gzipSync(text), (byte) => Uint8Array.of(byte)),
};

test.each(Object.keys(sources))("reads %s", async (name) => {
  expect(await numbers(sources[name]!())).toEqual(all);
});

const one = '{"a":1}\n';
const two = '{"a":2}\n';

async function read(...chunks: (Uint8Array | string)[]): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const record of readNdjson(Readable.from(chunks))) found.push(record);
  return found;
}

test("zeros behind gzip are padding, and what follows them is not lost", async () => {
  for (const zeros of [1, 5, 1 << 20]) {
    const padded = [gzipSync(one), Buffer.alloc(zeros)];
    expect(await read(...padded)).toEqual([{ a: 1 }]);
    for (const rest of [gzipSync(two), Buffer.from(two)]) {
      for (const chunks of [[...padded, rest], [Buffer.concat([...padded, rest])]]) {
        await expect(read(...chunks)).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
      }
    }
  }
  expect(await read(gzipSync(one), gzipSync(""), gzipSync(two))).toEqual([{ a: 1 }, { a: 2 }]);
});

test("gzip and what is none behind it, however they come, is an error that names the stream", async () => {
  const bytes = Buffer.concat([gzipSync(text), Buffer.from("(\xb5/\xfd$ else", "latin1")]);
  for (const size of [1 << 8, 1 << 12, 1 << 16, 1 << 20]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    await expect(numbers(Readable.from(pieces))).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      message: expect.stringContaining("<stream> is damaged or cut short"),
    });
  }
});

test("a reader that leaves a stream of gzip that stands still does not wait for it", async () => {
  const { writable, readable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const many = one.repeat(100_000);
  void writer.write(gzipSync(many)).catch(() => {});
  for await (const record of readNdjson(readable)) {
    expect(record).toEqual({ a: 1 });
    break;
  }
});

test("texts may be cut inside a character", async () => {
  const text = '{"a":"x\u{1f600}\u{1f601}"}\n';
  for (let cut = 1; cut < text.length; cut++) {
    expect(await read(text.slice(0, cut), "", text.slice(cut))).toEqual([JSON.parse(text)]);
  }
  expect(await read(...text)).toEqual([JSON.parse(text)]);
});

test("what is no source is refused with advice", async () => {
  const ended = Readable.from([Buffer.from(one)]);
  for await (const _ of ended);
  const sources: [source: unknown, message: string][] = [
    [undefined, "are read from a path"],
    [null, "are read from a path"],
    [Buffer.from(one), "as in [bytes]"],
    [ended, "read to its end before"],
  ];
  for (const [source, message] of sources) {
    await expect(numbers(source as Source)).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining(message),
    });
  }
});

test("a list of paths is read in order, and again", async () => {
  const records = readNdjson<{ i: number }>([at("a"), at("a.gz")]);
  for (let round = 0; round < 2; round++) {
    let count = 0;
    for await (const { i } of records) expect(i).toBe(count++ % 20_000);
    expect(count).toBe(40_000);
  }
  expect(await records.byteLength()).toBeGreaterThan(Buffer.byteLength(text));
  let consumed = 0;
  for await (const batch of records.batches()) consumed = batch.consumed;
  expect(consumed).toBe(await records.byteLength());
});

test("a stream is read once", async () => {
  const records = readNdjson(createReadStream(at("a")));
  for await (const _ of records) break;
  await expect(async () => {
    for await (const _ of records);
  }).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
});

test("a loop that is left closes its source", async () => {
  const stream = createReadStream(at("a"), { highWaterMark: 1000 });
  for await (const _ of readNdjson(stream)) break;
  expect(stream.destroyed).toBe(true);
  let closed = false;
  const endless = (async function* () {
    try {
      for (;;) yield Buffer.from('{"i":1}\n');
    } finally {
      closed = true;
    }
  })();
  for await (const _ of readNdjson(endless)) break;
  expect(closed).toBe(true);
});

test("a file that is cut short while it is read is an error, and one that grows is none", async () => {
  const lines = '{"i":1}\n'.repeat(100_000);
  const message = `${at("cut")} was cut short while it was read`;
  const readWhile = async (source: Records<unknown>, change: () => Promise<void>) => {
    let isChanged = false;
    for await (const _ of source.batches({ batchBytes: 1 << 16 })) {
      if (!isChanged) await change();
      isChanged = true;
    }
  };
  // At the end of a line, so that all records are whole.
  const cut = () => truncate(at("cut"), 8 * 50_000);
  await writeFile(at("cut"), lines);
  const whole = readWhile(readNdjson(at("cut")), cut);
  await expect(whole).rejects.toMatchObject({
    code: "ERR_PARTD_IO",
    message: expect.stringContaining(message),
  });
  await writeFile(at("cut"), lines);
  const [, part] = (await readNdjson(at("cut")).split(2)) ?? [];
  await expect(readWhile(openPart(part as RecordsPart), cut)).rejects.toThrow(message);
  await writeFile(at("cut"), lines);
  await readWhile(readNdjson(at("cut")), () => appendFile(at("cut"), lines));
});

test("a record that never ends is an error as soon as it is longer than allowed", async () => {
  let given = 0;
  const endless = (async function* () {
    for (;;) {
      given += 65_536;
      yield Buffer.alloc(65_536, "a");
    }
  })();
  const batches = readNdjson(endless).batches({ batchBytes: 1000, longestRecord: 1_000_000 });
  await expect(batches[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    message: expect.stringContaining("longer than 1000000 bytes"),
  });
  expect(given).toBeLessThan(1_200_000);
});

test("a record as long as allowed is read", async () => {
  const line = `${JSON.stringify("x".repeat(5_000))}\n`;
  const options = { batchBytes: 100, longestRecord: line.length };
  const lines: number[] = [];
  for await (const { bytes } of readNdjson([Buffer.from(line + line)]).batches(options))
    lines.push(bytes.length);
  expect(lines).toEqual([line.length, line.length]);
});

test("a signal ends it", async () => {
  const endless = (async function* () {
    for (;;) yield Buffer.from('{"i":1}\n');
  })();
  const abort = new AbortController();
  await expect(async () => {
    for await (const _ of readNdjson(endless, { signal: abort.signal }))
      abort.abort(new Error("no"));
  }).rejects.toThrow("no");
});

test("what is cut short, missing or no source is an error that says so", async () => {
  const cut = gzipSync(text);
  await writeFile(at("cut.gz"), cut.subarray(0, cut.length - 1000));
  await expect(numbers(at("cut.gz"))).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    path: at("cut.gz"),
  });
  await expect(numbers(at("none"))).rejects.toMatchObject({
    code: "ERR_PARTD_IO",
    path: at("none"),
  });
  await expect(numbers(folder)).rejects.toMatchObject({ code: "ERR_PARTD_IO", path: folder });
  await expect(numbers(5 as never)).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  await expect(numbers([5] as never)).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  const failing = (async function* () {
    yield Buffer.from('{"i":1}\n');
    throw new Error("the source's own");
  })();
  await expect(numbers(failing)).rejects.toThrow("the source's own");
});

const utf16 = Buffer.from('{"i":1}\n', "utf16le");
const others: Record<string, Uint8Array> = {
  "UTF-16, and UTF-8 is read": Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]),
  "UTF-16, and UTF-8": utf16,
  "UTF-16,": Buffer.from(utf16).swap16(),
  "UTF-32": Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 0x7b]),
  "packed with gzip twice": gzipSync("{}"),
  "packed with bzip2": Buffer.from("BZh91AY&SY\x18"),
  "packed with xz": Buffer.from("\xfd7zXZ\0\0\x04", "latin1"),
  "packed with lz4": Buffer.from('\x04"M\x18d'),
  "packed with 7-Zip": Buffer.from("7z\xbc\xaf\x27\x1c", "latin1"),
  "a ZIP archive": Buffer.from("PK\x03\x04\x14"),
  "Parquet, no text": Buffer.from("PAR1\x15\x04"),
  "Arrow, no text": Buffer.from("ARROW1\0\0"),
  "a database of SQLite": Buffer.from("SQLite format 3\0"),
};

test.each(Object.keys(others))(
  "what is %s is called so, of a file, a stream and in gzip",
  async (what) => {
    const bytes = others[what]!;
    const packed = gzipSync(bytes);
    await writeFile(at("other"), bytes);
    await writeFile(at("other.gz"), packed);
    const kinds: (string | AsyncGenerator<Uint8Array>)[] = [at("other.gz"), each(packed)];
    // gzip within gzip is not read, but gzip is.
    if (!what.includes("twice")) kinds.push(at("other"), each(bytes));
    for (const source of kinds) {
      const name = typeof source === "string" ? source : "<stream>";
      for (const read of [readNdjson, readJson, readCsv]) {
        if (typeof source !== "string" && read !== readNdjson) continue; // It is read once.
        const reading = async () => {
          for await (const _ of read(source)) expect(true).toBe(false);
        };
        await expect(reading()).rejects.toMatchObject({
          code: "ERR_PARTD_CORRUPT",
          message: expect.stringContaining(`${name} is ${what}`),
        });
      }
    }
  },
);

test("what only begins like it is read", async () => {
  const names = ["PAR1", "BZh91", "ARROW1", "PK", "7z", "Obj"];
  const found: unknown[] = [];
  for (const name of names) {
    for await (const row of readCsv([Buffer.from(`${name},b\n1,2\n`)]))
      found.push(Object.keys(row)[0]);
  }
  expect(found).toEqual(names);
});

describeReal(realPart.program("zstd"), "zstd", () => {
  const zstd = (args: string[], input: string) =>
    spawnSync("zstd", args, { input, maxBuffer: 1 << 28 }).stdout;

  test("is read, also of several frames, and by the decompressor in JavaScript", async () => {
    const half = text.indexOf("\n", text.length / 2) + 1;
    const frames = [zstd(["-q"], text.slice(0, half)), zstd(["-q"], "")];
    const bytes = Buffer.concat([...frames, zstd(["-q", "-19", "--no-check"], text.slice(half))]);
    await writeFile(at("a.zst"), bytes);
    expect(await numbers(at("a.zst"))).toEqual(all);
    const pieces: Uint8Array[] = [];
    for await (const piece of unzstd(each(bytes.subarray(0, 1000), bytes.subarray(1000)))) {
      pieces.push(piece);
    }
    expect(Buffer.concat(pieces).toString()).toBe(text);
    const oneByOne = Array.from(bytes, (byte) => Uint8Array.of(byte));
    expect(await numbers(each(...oneByOne))).toEqual(all);
  });

  test("is read behind a frame that holds no data, as pzstd writes one", async () => {
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
    const bytes = Buffer.concat([skippable, zstd(["-q"], text), skippable]);
    await writeFile(at("skippable.zst"), bytes);
    expect(await numbers(at("skippable.zst"))).toEqual(all);
    await writeFile(at("skippable.zst"), skippable);
    expect(await numbers(at("skippable.zst"))).toEqual([]);
    for (const behind of ["else", "\x1f\x8b\b\0\0\0"]) {
      await writeFile(at("behind.zst"), Buffer.concat([bytes, Buffer.from(behind, "latin1")]));
      await expect(numbers(at("behind.zst"))).rejects.toThrow(
        "what follows its last frame is no zstd",
      );
    }
  });

  test("is an error where a byte is flipped, whichever decoder reads it", async () => {
    const lines = Array.from(
      { length: 300 },
      (_, i) => `{"i":${i},"n":${(i * 7919) % 1000}}\n`,
    ).join("");
    const bytes = Buffer.concat([zstd(["-q", "--check"], lines), zstd(["-q", "--check"], "{}\n")]);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = flipped[at]! ^ 0x10;
      const read = async () => {
        const pieces: Uint8Array[] = [];
        for await (const piece of unzstd(each(flipped.subarray(0, 300), flipped.subarray(300)))) {
          pieces.push(piece);
        }
        return Buffer.concat(pieces).toString();
      };
      // A flip may leave the content as it was: in a reserved bit, or the window's size.
      const said = await read().catch(() => undefined);
      if (said !== undefined) expect(said).toBe(`${lines}{}\n`);
    }
  });

  test("is decompressed a little at a time, also where it is much", async () => {
    // A window of 128 KiB, and 2,000 blocks of as many zeros.
    const blocks = Buffer.alloc(4 * 2000, Uint8Array.of(0x02, 0x00, 0x10, 0));
    blocks[blocks.length - 4] = 0x03;
    const bytes = Buffer.concat([Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x38), blocks]);
    let longest = 0;
    let sum = 0;
    let before = process.memoryUsage().arrayBuffers;
    for await (const piece of unzstd(each(bytes))) {
      longest = Math.max(longest, process.memoryUsage().arrayBuffers - before);
      before = process.memoryUsage().arrayBuffers;
      sum += piece.length;
    }
    expect(sum).toBe(2000 << 17);
    expect(longest).toBeLessThan(16 << 20);
  });

  test("of a window that zstd takes with --long alone says so, whichever decoder reads it", async () => {
    // Of 256 MiB; and a single segment of 2^40 bytes.
    const window = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x90, 1, 0, 0];
    const segment = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0];
    const said = "was compressed with a window of 256 MiB, and up to 128 are read: unpack it first";
    await expect(numbers(each(Uint8Array.from(window)))).rejects.toThrow(said);
    await expect(numbers(each(Uint8Array.from(segment)))).rejects.toThrow("--long=31");
    const read = async (bytes: number[]) => {
      for await (const _ of unzstd(each(Uint8Array.from(bytes))));
    };
    await expect(read(window)).rejects.toThrow("a window of 256 MiB");
    await expect(read(segment)).rejects.toThrow("a window of 1048576 MiB");
    const widest = zstd(["-q", "--long=27"], text);
    await writeFile(at("widest.zst"), widest);
    expect(await numbers(at("widest.zst"))).toEqual(all);
  });

  test("is an error where it is cut short", async () => {
    const bytes = zstd(["-q"], text);
    for (const end of [5, 1000, bytes.length - 3, bytes.length + 1, bytes.length + 5]) {
      await writeFile(at("cut.zst"), Buffer.concat([bytes, bytes]).subarray(0, end));
      await expect(numbers(at("cut.zst"))).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
    }
  });
});

test("a pipe that never ends, in bounded memory; records come as soon as they are whole", async () => {
  const program = `
    import { readNdjson } from ${JSON.stringify(import.meta.resolve("@partd/records"))};
    let bytes = 0, peak = 0;
    for await (const batch of readNdjson(process.stdin).batches()) {
      bytes += batch.bytes.length;
      peak = Math.max(peak, process.memoryUsage.rss());
      if (bytes > 300e6) break;
    }
    console.log(JSON.stringify({ bytes, peak }));
    process.exit();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.on("error", () => {}); // It leaves while we write.
  Readable.from(
    (function* () {
      const chunk = Buffer.from(text);
      while (child.exitCode === null) yield chunk;
    })(),
  ).pipe(child.stdin);
  let output = "";
  for await (const chunk of child.stdout) output += chunk;
  const { bytes, peak } = JSON.parse(output);
  expect(bytes).toBeGreaterThan(300e6);
  expect(peak).toBeLessThan(160e6);
});

test("a record of 200 MB, in a few times its size", () => {
  const program = `
    import { readNdjson } from ${JSON.stringify(import.meta.resolve("@partd/records"))};
    import { peakMemory } from ${JSON.stringify(import.meta.resolve("tooling/peak-memory"))};
    const piece = Buffer.alloc(1e6, "x");
    const records = readNdjson((function* () {
      yield Buffer.from('{"user":"ann"}\\n{"pad":"');
      for (let i = 0; i < 200; i++) yield piece;
      yield Buffer.from('","user":"bob"}\\n{"user":"cy"}\\n');
    })());
    const scanner = records.format.scanner(["user"]);
    const keys = [];
    for await (const batch of records.batches()) {
      const scan = scanner.scan(batch);
      for (let i = 0; i < scan.count; i++) keys.push(scan.key(i));
    }
    console.log(JSON.stringify({ keys, peak: peakMemory() }));`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  const { keys, peak } = JSON.parse(stdout);
  expect(keys).toEqual(["ann", "bob", "cy"]);
  expect(peak).toBeLessThan(60e6 + 3 * 200e6);
  console.log(`a record of 200 MB: ${Math.round(peak / 1e6)} MB resident`);
});
