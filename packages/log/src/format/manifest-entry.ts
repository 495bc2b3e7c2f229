import { PartdError } from "@partd/core";
import { crc32 } from "@partd/disk";
import { VERSION } from "./layout.js";

/** The entries of the manifest, one a line. */
export type ManifestEntry =
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
export function manifestText(entries: readonly ManifestEntry[]): string {
  return HEADING + entries.map(formatLine).join("");
}

export function formatLine(entry: ManifestEntry): string {
  const text = entry.join(" ");
  return `\n${checksum(text)} ${text}\n`;
}

/**
 * Parses a line; `undefined` if it does not match its checksum.
 *
 * @throws `ERR_PARTD_CORRUPT` if it matches, but says what no LogStore writes: its words become the
 *   names of files that are removed.
 */
export function parseLine(line: string, path: string, offset: number): ManifestEntry | undefined {
  const text = line.slice(9);
  if (line.slice(0, 9) !== `${checksum(text)} `) return undefined;
  if (ENTRY.test(text)) return text.split(" ") as unknown as ManifestEntry;
  throw new PartdError(
    "ERR_PARTD_CORRUPT",
    `${path} has a line at ${offset} that no LogStore writes: ${JSON.stringify(text.slice(0, 100))}. If you trust its origin, remove the line.`,
    { path, offset },
  );
}

/** Whether a line without its line feed was cut off; false if another byte is in its place. */
export function isCutShort(line: string): boolean {
  const text = line.slice(9, -1);
  return line.slice(0, 9) !== `${checksum(text)} `;
}

/** Ids are 16 hexadecimal digits, numbers are below 2^53 and tokens are names without a folder. */
const ENTRY = (() => {
  const id = "[0-9a-f]{16}";
  const number = "(?:0|[1-9]\\d{0,14})";
  const list = (item: string) => `(?:-|${item}(?:,${item})*)`;
  const entries = [
    `segment ${id} [\\w.-]{1,200}`,
    `finished ${id} ${number} ${number}`,
    "seal",
    `compacted ${number} ${list(`${id}:${number}`)} ${list(id)}`,
    `drop ${number}`,
  ];
  return new RegExp(`^(?:${entries.join("|")})$`);
})();

function checksum(text: string): string {
  return crc32(Buffer.from(text, "latin1")).toString(16).padStart(8, "0");
}

const HEADING = `partd-log ${VERSION}\n`;
/** In bytes. */
export const HEADING_LENGTH = HEADING.length;
