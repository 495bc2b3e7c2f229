import { PartdError } from "@partd/core";

/**
 * Checks the first bytes of what is to be read as text, decompressed: other contents would be malformed in their
 * first record, or be records of nonsense.
 *
 * @throws `ERR_PARTD_CORRUPT` for UTF-16 and UTF-32, for tables, and for what is packed in a way that is not read.
 */
export function refuseOtherContent(first: Uint8Array, source: string): void {
  const start = Buffer.from(first.buffer, first.byteOffset, Math.min(first.length, LONGEST));
  const text = start.toString("latin1");
  const content = CONTENTS.find(([magic, at]) => text.startsWith(magic, at));
  const what = content?.[2] ?? utfOf(start);
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

/** Whether just one of two bytes is 0, three times over, as in UTF-16 without its mark. */
function hasZeros(bytes: Buffer, at: 0 | 1): boolean {
  return [0, 2, 4].every((i) => bytes[i + at] === 0 && (bytes[i + 1 - at] ?? 0) !== 0);
}

function converted(name: string): string {
  return `${name}, and UTF-8 is read: convert it first, as iconv -f ${name} -t UTF-8 FILE > NEW does`;
}

function packed(name: string, command: string): string {
  return `packed with ${name}, which is not read: unpack it first, as ${command} FILE > NEW does`;
}

function table(name: string): string {
  return `${name}, no text: read it as ${name}`;
}

/** Each has these bytes at this place, which no text has; a character is a byte. */
const CONTENTS: readonly (readonly [magic: string, at: number, what: string])[] = [
  ["\x1f\x8b", 0, packed("gzip twice", "gunzip -c")],
  ["1AY&SY", 4, packed("bzip2", "bunzip2 -c")],
  ["\xfd7zXZ\0", 0, packed("xz", "xz -dc")],
  ['\x04"M\x18', 0, packed("lz4", "lz4 -dc")],
  ["7z\xbc\xaf", 0, packed("7-Zip", "7z e -so")],
  ["PK\x03\x04", 0, "a ZIP archive, as those of .xlsx are, no text: unpack it first"],
  ["PAR1\x15", 0, table("Parquet")],
  ["ARROW1\0\0", 0, table("Arrow")],
  ["SQLite format 3\0", 0, "a database of SQLite, no text: export it first"],
];

/** As many of the first bytes as tell. */
const LONGEST = 16;
