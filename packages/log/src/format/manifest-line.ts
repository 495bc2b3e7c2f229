import { PartdError } from "@partd/core";
import { crc32 } from "@partd/disk";
import { VERSION } from "./layout.js";

/** A line of the manifest, as its words. */
export type ManifestLine =
  /** A writer, named by its process's token, added a segment. */
  | readonly ["segment", id: string, writer: string]
  /** The segment's records fill its first `end` bytes, and its length counts as `size` bytes. */
  | readonly ["finished", id: string, end: string, size: string]
  /** No one adds to the segments named so far; each writer begins another. */
  | readonly ["seal"]
  /**
   * The segments of `newIds` replace those of `oldIds`: lists with commas, or `-` for none. A new id is
   * followed by a colon and the segment's length. `floor` is what the clock counted.
   */
  | readonly ["compacted", floor: string, newIds: string, oldIds: string]
  /** All segments so far are removed. */
  | readonly ["drop", floor: string];

/** A whole manifest. */
export function manifestText(lines: readonly ManifestLine[]): string {
  return HEADING + lines.map(formatLine).join("");
}

/** A line as it is written: with its checksum, and a line feed before and behind it. */
export function formatLine(line: ManifestLine): string {
  const text = line.join(" ");
  return `\n${checksum(text)} ${text}\n`;
}

/**
 * Parses a line; `undefined` if it does not match its checksum.
 *
 * @throws `ERR_PARTD_CORRUPT` if it matches, but says what no LogStore writes: its words become the
 *   names of files that are removed.
 */
export function parseLine(written: string, path: string, offset: number): ManifestLine | undefined {
  const text = written.slice(9);
  if (written.slice(0, 9) !== `${checksum(text)} `) return undefined;
  if (LINE.test(text)) return text.split(" ") as unknown as ManifestLine;
  throw new PartdError(
    "ERR_PARTD_CORRUPT",
    `${path} has a line at ${offset} that no LogStore writes: ${JSON.stringify(text.slice(0, 100))}. If you trust its origin, remove the line.`,
    { path, offset },
  );
}

/** Whether a line without its line feed was cut off; false if another byte is in its place. */
export function isCutShort(written: string): boolean {
  const text = written.slice(9, -1);
  return written.slice(0, 9) !== `${checksum(text)} `;
}

/** Ids are 16 hexadecimal digits, numbers are below 2^53 and tokens are names without a folder. */
const LINE = (() => {
  const id = "[0-9a-f]{16}";
  const number = "(?:0|[1-9]\\d{0,14})";
  const list = (item: string) => `(?:-|${item}(?:,${item})*)`;
  const lines = [
    `segment ${id} [\\w.-]{1,200}`,
    `finished ${id} ${number} ${number}`,
    "seal",
    `compacted ${number} ${list(`${id}:${number}`)} ${list(id)}`,
    `drop ${number}`,
  ];
  return new RegExp(`^(?:${lines.join("|")})$`);
})();

function checksum(text: string): string {
  return crc32(Buffer.from(text, "latin1")).toString(16).padStart(8, "0");
}

const HEADING = `partd-log ${VERSION}\n`;
/** In bytes. */
export const HEADING_LENGTH = HEADING.length;
