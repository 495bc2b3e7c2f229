import { PartdError } from "@partd/core";

/** What an input is read as. */
export type Content = "text" | "Arrow" | "Parquet";

/**
 * Refuses other content by the first decompressed bytes of an input. Read on, it would be a malformed
 * first record, or make no sense.
 *
 * @throws `ERR_PARTD_CORRUPT` for UTF-16 and UTF-32, for other tables, and for a compression that is not read.
 */
export function refuseOtherContent(first: Uint8Array, source: string, wanted: Content): void {
  const start = Buffer.from(first.buffer, first.byteOffset, Math.min(first.length, LONGEST));
  const text = start.toString("latin1");
  const content = CONTENTS.find(([magic, at]) => text.startsWith(magic, at));
  const what = content?.[2](wanted) ?? (wanted === "text" ? utfOf(start) : undefined);
  if (what === undefined) return;
  throw new PartdError("ERR_PARTD_CORRUPT", `${source} is ${what}.`, {
    path: source.startsWith("<") ? undefined : source,
  });
}

function utfOf(bytes: Buffer): string | undefined {
  const [a, b, c, d] = bytes;
  const isLittle = a === 0xff && b === 0xfe;
  const isBig = a === 0xfe && b === 0xff;
  const is32 = isLittle ? c === 0 && d === 0 : a === 0 && b === 0 && c === 0xfe && d === 0xff;
  if (is32) return converted("UTF-32");
  return isLittle || isBig || hasZeros(bytes, 0) || hasZeros(bytes, 1)
    ? converted("UTF-16")
    : undefined;
}

/** Whether the first three pairs of bytes have one zero each at `at`, as ASCII has in UTF-16 without a mark. */
function hasZeros(bytes: Buffer, at: 0 | 1): boolean {
  return [0, 2, 4].every((i) => bytes[i + at] === 0 && (bytes[i + 1 - at] ?? 0) !== 0);
}

function converted(name: string): string {
  return `${name}, and UTF-8 is read: convert it first, as iconv -f ${name} -t UTF-8 FILE > NEW does`;
}

/** Describes a content that is not the wanted one. */
type Describe = (wanted: Content) => string | undefined;

function packed(name: string, command: string): Describe {
  return () =>
    `packed with ${name}, which is not read: unpack it first, as ${command} FILE > NEW does`;
}

function table(name: Content): Describe {
  return (wanted) => (wanted === name ? undefined : `${name}, no ${wanted}: read it as ${name}`);
}

function other(what: string, advice: string): Describe {
  return (wanted) => `${what}, no ${wanted}: ${advice} first`;
}

/** Bytes (as characters) that a content has at an offset, where no text has them. */
const CONTENTS: readonly (readonly [magic: string, at: number, describe: Describe])[] = [
  ["\x1f\x8b", 0, packed("gzip twice", "gunzip -c")],
  ["(\xb5/\xfd", 0, packed("zstd inside", "zstd -dc")],
  ["1AY&SY", 4, packed("bzip2", "bunzip2 -c")],
  ["\xfd7zXZ\0", 0, packed("xz", "xz -dc")],
  ['\x04"M\x18', 0, packed("lz4", "lz4 -dc")],
  ["7z\xbc\xaf", 0, packed("7-Zip", "7z e -so")],
  ["PK\x03\x04", 0, other("a ZIP archive, as those of .xlsx are", "unpack it")],
  ["PAR1\x15", 0, table("Parquet")],
  ["ARROW1\0\0", 0, table("Arrow")],
  ["\xff\xff\xff\xff", 0, table("Arrow")],
  ["FEA1", 0, other("Feather of version 1", "write it as version 2")],
  ["SQLite format 3\0", 0, other("a database of SQLite", "export it")],
];

/** How many of the first bytes are looked at. */
const LONGEST = 16;
