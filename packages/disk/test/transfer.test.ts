import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "@jest/globals";
import fc from "fast-check";

type Call = (...args: unknown[]) => unknown;
const calls = fs as unknown as Record<string, Call>;
const originals = new Map(
  ["write", "writev", "writeSync", "read", "readSync"].map((name) => [name, calls[name] as Call]),
);
const { readAll, readAllSync, writeAllSync, writePieces } = await import("@partd/disk");

const directory = fs.mkdtempSync(join(tmpdir(), "partd-transfer-"));
const path = join(directory, "file");
afterEach(() => {
  for (const [name, call] of originals) calls[name] = call;
});
afterAll(() => fs.rmSync(directory, { recursive: true }));

/** Lets each call move a part of what it was asked for. */
function movePartly(): void {
  let seed = 1;
  const some = (length: number) => {
    seed = (seed * 16807) % 2147483647;
    return Math.max(1, seed % (length + 1));
  };
  calls.write = (fd, bytes, at, length, position, done) =>
    originals.get("write")?.(fd, bytes, at, some(length as number), position, done);
  calls.writev = (fd, pieces, position, done) => {
    const whole = Buffer.concat(pieces as Uint8Array[]);
    originals.get("write")?.(fd, whole, 0, some(whole.length), position, done);
  };
  calls.read = (fd, bytes, at, length, position, done) =>
    originals.get("read")?.(fd, bytes, at, some(length as number), position, done);
}

test("pieces are written end to end, however little each call moves", async () => {
  movePartly();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 }),
      async (pieces) => {
        const whole = Buffer.concat(pieces);
        const fd = fs.openSync(path, "w+");
        try {
          await writePieces(fd, pieces, 3);
          const bytes = new Uint8Array(whole.length + 5);
          expect(await readAll(fd, bytes, 3)).toBe(whole.length);
          expect(Buffer.from(bytes.subarray(0, whole.length))).toEqual(whole);
        } finally {
          fs.closeSync(fd);
        }
      },
    ),
  );
});

test("more pieces than one call takes, and more bytes", async () => {
  const fd = fs.openSync(path, "w+");
  try {
    const asked: number[] = [];
    calls.writev = (fd, pieces, position, done) => {
      asked.push((pieces as Uint8Array[]).reduce((sum, { byteLength }) => sum + byteLength, 0));
      originals.get("writev")?.(fd, pieces, position, done);
    };
    const many = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i, i >> 8));
    const large = new Uint8Array(100 * 2 ** 20).fill(7);
    await writePieces(fd, [...many, large, Uint8Array.of(9)], 0);
    expect(Math.max(...asked)).toBeLessThanOrEqual(64 * 2 ** 20);
    const bytes = new Uint8Array(6001 + large.length);
    expect(readAllSync(fd, bytes, 0)).toBe(bytes.length);
    expect([bytes[5998], bytes[5999], bytes[6000], bytes.at(-2), bytes.at(-1)]).toEqual([
      0xb7, 11, 7, 7, 9,
    ]);
  } finally {
    fs.closeSync(fd);
  }
});

test.each([0, -2_147_483_648, 5])("a count of %d ends the loop", async (count) => {
  const fd = fs.openSync(path, "w+");
  const answer = (...args: unknown[]) => (args.at(-1) as Call)(null, count);
  calls.write = calls.writev = answer;
  calls.writeSync = () => count;
  if (count !== 0) {
    calls.read = answer;
    calls.readSync = () => count;
  }
  try {
    const piece = new Uint8Array(2);
    await expect(writePieces(fd, [piece, piece], 0)).rejects.toThrow("moved");
    await expect(writePieces(fd, [piece], 0)).rejects.toThrow("moved");
    expect(() => writeAllSync(fd, piece, 0)).toThrow("moved");
    if (count === 0) return;
    await expect(readAll(fd, piece, 0)).rejects.toThrow("moved");
    expect(() => readAllSync(fd, piece, 0)).toThrow("moved");
  } finally {
    for (const [name, call] of originals) calls[name] = call;
    fs.closeSync(fd);
  }
});
