import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Makes the manifest name a process that is gone in place of ours. */
export function asAfterCrash(directory: string): string {
  for (const folder of ["lock", "compact"]) {
    rmSync(join(directory, ".partd-log", folder), { recursive: true, force: true });
  }
  const path = join(directory, ".partd-log", "manifest");
  const [first = "", ...lines] = readFileSync(path, "latin1").split("\n");
  const gone = lines.map((line) => {
    const [, entry] = /^\w{8} (segment \w+) /.exec(line) ?? [];
    return entry ? lineOf(`${entry} 1-1-1-gone`) : line;
  });
  writeFileSync(path, [first, ...gone].join("\n"));
  return directory;
}

/** A line of the manifest. */
export function lineOf(entry: string): string {
  return `${crc(Buffer.from(entry)).toString(16).padStart(8, "0")} ${entry}`;
}

function crc(data: Uint8Array): number {
  let value = -1;
  for (const byte of data) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return ~value >>> 0;
}
