import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { PartdError } from "@partd/core";
import { systemError } from "@partd/disk";
import { isBaseHeader, SEGMENT_HEADER } from "../format/layout.js";
import type { ManifestEntry } from "../format/manifest.js";

/**
 * Entries for segments that are there without a manifest.
 *
 * @throws `ERR_PARTD_CORRUPT` if there are any, unless `salvage`.
 */
export function findSegments(
  directory: string,
  manifest: string,
  salvage: boolean,
): ManifestEntry[] {
  const found = readdirSync(directory).flatMap((name) => {
    const [, id] = /^([0-9a-f]{16})\.seg$/.exec(name) ?? [];
    const path = join(directory, name);
    const size = id === undefined ? 0 : (statSync(path, QUIET)?.size ?? 0);
    return id === undefined || size <= SEGMENT_HEADER ? [] : [{ id, path, size }];
  });
  // Another process may have made both meanwhile.
  if (found.length === 0 || existsSync(manifest)) return [];
  if (!salvage) {
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `${manifest} is missing, though there are ${found.length} segments beside it: which of them count, and in what order, is not known. Copy the folder .partd-log, too, from where the data set came from; or open it with { salvage: true }, which reads all of them, also what was deleted or compacted, and compact() it.`,
      { path: manifest },
    );
  }
  const base = found.filter(({ path }) => isBaseFile(path));
  const others = found.filter((one) => !base.includes(one));
  const floor = others.reduce((sum, { size }) => sum + size, 0);
  const ids = base.map(({ id, size }) => `${id}:${size}`).join(",") || "-";
  return [
    ["compacted", String(floor), ids, "-"],
    ...others.map(({ id }): ManifestEntry => ["segment", id, "1-1-1-lost"]),
    ["seal"],
  ];
}

/** For `statSync` of what may not be there. */
export const QUIET = { throwIfNoEntry: false } as const;

/** Whether `compact` made the file, or has just removed it. */
export function isBaseFile(path: string): boolean {
  const header = Buffer.alloc(SEGMENT_HEADER);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    // A compaction that was aborted elsewhere has just removed it.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw systemError({ action: "read", path: path }, error);
  }
  try {
    readSync(fd, header, 0, SEGMENT_HEADER, 0);
  } finally {
    closeSync(fd);
  }
  return isBaseHeader(header);
}
