import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import fc from "fast-check";
import * as everywhere from "../src/engine.js";
import * as node from "../src/engine.node.js";
import { Gzip, gzipCodec, ZLib, zlibCodec } from "../src/index.js";

const LIMIT = 2 ** 30;
const FORMATS = ["zlib", "gzip"] as const;
const engines = { everywhere, node };

const bytesOfAllSizes = fc.oneof(
  fc.uint8Array({ maxLength: 3000, size: "max" }),
  fc
    .tuple(fc.integer({ min: 0, max: 300_000 }), fc.uint8Array({ minLength: 1, maxLength: 50 }))
    .map(([length, word]) =>
      Uint8Array.from({ length }, (_, i) => word[i % word.length] as number),
    ),
);

describe.each(FORMATS)("%s", (format) => {
  test("either engine reads what either wrote, at any level", async () => {
    await fc.assert(
      fc.asyncProperty(bytesOfAllSizes, fc.integer({ min: 0, max: 9 }), async (bytes, level) => {
        for (const writer of Object.values(engines)) {
          const written = await writer.deflate(bytes, format, level);
          for (const reader of Object.values(engines)) {
            const read = await reader.inflate(written, format, LIMIT);
            expect(Object.getPrototypeOf(read)).toBe(Uint8Array.prototype);
            expect(Buffer.compare(read, bytes)).toBe(0);
          }
        }
      }),
      { numRuns: 25 },
    );
  });

  describe.each(Object.keys(engines) as (keyof typeof engines)[])("the engine %s", (name) => {
    const engine = engines[name];
    const words = new TextEncoder().encode("partition and append ".repeat(20_000));

    test("never gives other bytes for a flipped bit, nor any for a cut", async () => {
      const written = await engine.deflate(words.subarray(0, 200), format, 6);
      const wrong: string[] = [];
      for (let bit = 0; bit < written.byteLength * 8; bit++) {
        const damaged = Uint8Array.from(written);
        damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
        const read = await Promise.resolve()
          .then(() => engine.inflate(damaged, format, LIMIT))
          .catch(() => undefined);
        // Some bits pad the data, and gzip's header tells a time and an operating system.
        if (read && Buffer.compare(read, words.subarray(0, 200)) !== 0) wrong.push(`bit ${bit}`);
      }
      for (let length = 0; length < written.byteLength; length++) {
        const read = await Promise.resolve()
          .then(() => engine.inflate(written.subarray(0, length), format, LIMIT))
          .catch(() => undefined);
        if (read) wrong.push(`cut to ${length}`);
      }
      expect(wrong).toEqual([]);
    });

    test("stops at the limit", async () => {
      const written = await engine.deflate(words, format, 9);
      await expect(engine.inflate(written, format, words.byteLength - 1)).rejects.toMatchObject({
        code: "ERR_PARTD_CODEC",
      });
      expect((await engine.inflate(written, format, words.byteLength)).byteLength).toBe(
        words.byteLength,
      );
    });

    test("refuses bytes behind the end, few or many", async () => {
      const written = await engine.deflate(words, format, 6);
      for (const more of [1, 9, 10_000_000]) {
        const longer = new Uint8Array(written.byteLength + more).fill(7);
        longer.set(written);
        await expect(engine.inflate(longer, format, LIMIT)).rejects.toThrow();
      }
      // These end in the right checksum.
      const twice = Buffer.concat([written, written.subarray(format === "zlib" ? -4 : -8)]);
      await expect(engine.inflate(twice, format, LIMIT)).rejects.toThrow();
    });
  });
});

test("the gzip engines read every optional field of a header", async () => {
  const bytes = new TextEncoder().encode("with a name");
  const plain = gzipSync(bytes);
  const fields = [0x1f, 0x8b, 8, 4 | 8 | 16, 0, 0, 0, 0, 0, 3, 2, 0, 7, 7, 97, 0, 98, 99, 0];
  const written = Uint8Array.from([...fields, ...plain.subarray(10)]);
  expect(await everywhere.inflate(written, "gzip", LIMIT)).toEqual(bytes);
  expect(await node.inflate(written, "gzip", LIMIT)).toEqual(bytes);
});

describe.each(Object.keys(engines) as (keyof typeof engines)[])("gzip members: %s", (name) => {
  const { inflate } = engines[name];
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const one = gzipSync("one, ");
  const named = Uint8Array.from([
    ...[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, 97, 0],
    ...one.subarray(10),
  ]);

  test("that follow one another, as cat a.gz b.gz makes them, are one value", async () => {
    const files = [one, gzipSync(""), named, gzipSync("two")];
    expect(text(await inflate(Buffer.concat(files), "gzip", LIMIT))).toBe("one, one, two");
    const large = Buffer.alloc(300_000, "a large member with some words, and no end to them ");
    const many = Array.from({ length: 20_000 }, (_, i) => (i % 5000 ? one : gzipSync(large)));
    const read = await inflate(Buffer.concat(many), "gzip", LIMIT);
    expect(read.byteLength).toBe(4 * large.length + 19_996 * 5);
    const empty = gzipSync("");
    const nothing = await inflate(Buffer.concat(new Array(20_000).fill(empty)), "gzip", LIMIT);
    expect(nothing.byteLength).toBe(0);
  });

  test("are refused as one where any is damaged or cut short, or something else follows", async () => {
    const both = Buffer.concat([one, gzipSync("two")]);
    const wrong: string[] = [];
    const isRead = (bytes: Uint8Array) =>
      Promise.resolve()
        .then(() => inflate(bytes, "gzip", LIMIT))
        .then(
          (read) => text(read),
          () => undefined,
        );
    for (let length = 0; length < both.length; length++) {
      const read = await isRead(both.subarray(0, length));
      if (read !== undefined && length !== one.length) wrong.push(`cut to ${length}: ${read}`);
    }
    for (let bit = 0; bit < both.length * 8; bit++) {
      const damaged = Uint8Array.from(both);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      const read = await isRead(damaged);
      if (read !== undefined && read !== "one, two") wrong.push(`bit ${bit}: ${read}`);
    }
    for (const more of [
      [7],
      [0, 7],
      [0x1f],
      [0x1f, 0x8b, 8],
      [1, 2, 3, 4, 5],
      one.subarray(0, 12),
    ]) {
      const read = await isRead(Buffer.concat([both, Uint8Array.from(more)]));
      if (read !== undefined) wrong.push(`${more} behind it: ${read}`);
    }
    expect(wrong).toEqual([]);
  });

  test("stop at the limit together", async () => {
    const both = Buffer.concat([one, one]);
    await expect(inflate(both, "gzip", 9)).rejects.toMatchObject({ code: "ERR_PARTD_CODEC" });
    expect((await inflate(both, "gzip", 10)).byteLength).toBe(10);
  });
});

test("zeros behind the last gzip member are padding, whatever the member ends with", async () => {
  const pad = (bytes: Uint8Array, zeros: number) => Buffer.concat([bytes, new Uint8Array(zeros)]);
  for (const text of ["", "a", "a".repeat(70_000), "\0".repeat(1000)]) {
    for (const level of [0, 9]) {
      const member = gzipSync(text, { level });
      for (const zeros of [1, 2, 3, 4, 5, 13, 512]) {
        for (const { inflate } of Object.values(engines)) {
          const read = await inflate(pad(member, zeros), "gzip", LIMIT);
          expect(Buffer.from(read).toString("latin1")).toBe(text);
          const twice = await inflate(pad(Buffer.concat([member, member]), zeros), "gzip", LIMIT);
          expect(Buffer.from(twice).toString("latin1")).toBe(text + text);
          const spoilt = Buffer.concat([pad(member, zeros), Uint8Array.of(7)]);
          await expect(inflate(spoilt, "gzip", LIMIT)).rejects.toThrow();
        }
      }
    }
  }
  for (const { inflate } of Object.values(engines)) {
    await expect(inflate(new Uint8Array(100), "gzip", LIMIT)).rejects.toThrow();
    await expect(inflate(pad(deflateSync("a"), 3), "zlib", LIMIT)).rejects.toThrow();
  }
});

test("a gzip header without an end is given up soon", async () => {
  const endless = new Uint8Array(30_000_000).fill(97);
  endless.set([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]);
  await expect(everywhere.inflate(endless, "gzip", LIMIT)).rejects.toThrow();
});

test("a header and the checksum of nothing are not a frame", async () => {
  const zlib = Uint8Array.of(0x78, 0x9c, 0, 0, 0, 1);
  const gzip = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0);
  for (const engine of Object.values(engines)) {
    await expect(engine.inflate(zlib, "zlib", LIMIT)).rejects.toThrow();
    await expect(engine.inflate(gzip, "gzip", LIMIT)).rejects.toThrow();
  }
});

test("the frames are what the formats' own tools read", async () => {
  const bytes = new TextEncoder().encode("hello ".repeat(100));
  expect(new Uint8Array(inflateSync(await zlibCodec().encode(bytes)))).toEqual(bytes);
  expect(new Uint8Array(gunzipSync(await gzipCodec().encode(bytes)))).toEqual(bytes);
});

test("what either engine gives is memory of its own, not part of a pool", async () => {
  for (const engine of Object.values(engines)) {
    for (const format of FORMATS) {
      for (const length of [0, 1, 100, 5000, 2_000_000]) {
        const bytes = Uint8Array.from({ length }, (_, i) => (i * i) >> 3);
        const written = await engine.deflate(bytes, format, 6);
        // At most 8 bytes more: room for the header of a frame.
        expect(written.buffer.byteLength - written.byteLength).toBeLessThanOrEqual(8);
        const read = await engine.inflate(written, format, LIMIT);
        expect(read.buffer.byteLength).toBe(length);
      }
    }
  }
});

test("a higher level gives fewer bytes", async () => {
  const bytes = Uint8Array.from({ length: 50_000 }, (_, i) => ((i * i) % 251) & 0xf0);
  const at = async (level: number) => (await zlibCodec({ level }).encode(bytes)).byteLength;
  expect(await at(1)).toBeLessThan(await at(0));
  expect(await at(9)).toBeLessThanOrEqual(await at(1));
});

test.each([-1, 10, 1.5, Number.NaN])("refuses level %s", (level) => {
  expect(() => zlibCodec({ level })).toThrow(expect.objectContaining({ code: "ERR_PARTD_VALUE" }));
});

test("a preset dictionary is not damage", async () => {
  const bytes = deflateSync("hello, hello", { dictionary: Buffer.from("hello") });
  await expect(async () => zlibCodec().decode(bytes)).rejects.toMatchObject({
    code: "ERR_PARTD_CODEC",
    message: expect.stringContaining("preset dictionary"),
  });
});

test("one's frames are not the other's: the error names key and offset", async () => {
  const store = new Dict();
  await new ZLib(store).append({ x: new Uint8Array(100) });
  await new Gzip(store).append({ x: new Uint8Array(100) });
  await expect(new ZLib(store).get("x")).rejects.toMatchObject({
    code: "ERR_PARTD_CODEC",
    message: expect.stringContaining("it begins as gzip"),
    key: "x",
    offset: 8 + (await zlibCodec().encode(new Uint8Array(100))).byteLength,
  });
  await expect(new Gzip(store).get("x")).rejects.toMatchObject({ key: "x", offset: 0 });
});

test("many frames are compressed at once and come back in order", async () => {
  const p = new ZLib(new Dict(), { concurrency: 4 });
  const pieces = Array.from({ length: 40 }, (_, i) => new Uint8Array(5000 * (41 - i)).fill(i));
  await p.append(pieces.map((piece) => ["x", piece] as const));
  expect(Buffer.compare(await p.get("x"), Buffer.concat(pieces))).toBe(0);
});
