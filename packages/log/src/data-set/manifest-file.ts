import {
  constants,
  existsSync,
  fdatasyncSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { PartdError } from "@partd/core";
import { closeFile, readAllSync, uniqueToken, writeAllSync } from "@partd/disk";
import { checkVersion } from "../format/layout.js";
import { type ManifestLine, manifestText } from "../format/manifest-line.js";
import { firstBytes } from "../open-files.js";

/**
 * Creates the file with its first lines in it; of several processes, the first wins. A blank file gets
 * its heading, unless `lines` throws.
 *
 * @returns the lines that a blank file lacks.
 */
export function makeManifest(
  path: string,
  lines: () => readonly ManifestLine[],
): readonly ManifestLine[] {
  if (isBlank(path)) {
    try {
      const lost = lines();
      fillBlank(path);
      return lost;
    } catch (error) {
      if (isBlank(path)) throw error;
      return []; // Another process has filled it meanwhile, and added the segments that `lines` found.
    }
  }
  if (existsSync(path)) return [];
  const draft = writeDraft(path, manifestText(lines()));
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" && !existsSync(path)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return [];
}

/**
 * Writes the heading into a file without bytes or of zeros, and line feeds over the other zeros. It is the
 * same file, and every process writes the same: if two do it at once, the lines that the first has added
 * since stay behind what the second writes. To replace the file would lose them.
 */
function fillBlank(path: string): void {
  const fd = openSync(path, "r+");
  try {
    const { size } = fstatSync(fd);
    if (size > LONGEST) throw tooLong(path, size);
    const zeros = Buffer.alloc(size);
    readAllSync(fd, zeros, 0);
    if (zeros.some((byte) => byte !== 0)) return;
    const heading = Buffer.from(manifestText([]), "latin1");
    const filled = Buffer.alloc(Math.max(size, heading.length), "\n");
    heading.copy(filled);
    writeAllSync(fd, filled, 0);
    fdatasyncSync(fd);
  } finally {
    closeFile(fd);
  }
}

/** Whether the file exists and begins with nothing or with zeros, as a power failure may leave it. */
export function isBlank(path: string): boolean {
  return firstBytes(path, 64)?.every((byte) => byte === 0) ?? false;
}

/** Opens the file. @returns its descriptor, and where its lines begin. */
export function openManifest(path: string, salvage: boolean): [fd: number, start: number] {
  const fd = openSync(path, constants.O_RDWR | constants.O_APPEND);
  try {
    const first = Buffer.alloc(64);
    const length = readSync(fd, first, 0, 64, 0);
    const [, version] = /^partd-log (\d+)\n/.exec(first.toString("latin1", 0, length)) ?? [];
    if (!version) {
      if (salvage) return [fd, 0];
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `${path} is no manifest of a LogStore, or its first line is damaged. { salvage: true } reads the others.`,
        { path },
      );
    }
    checkVersion(Number(version), path);
    return [fd, first.indexOf("\n") + 1];
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

export function writeDraft(path: string, text: string): string {
  const draft = `${path}.${uniqueToken()}`;
  const fd = openSync(draft, "wx");
  try {
    writeAllSync(fd, Buffer.from(text, "latin1"), 0);
    fdatasyncSync(fd);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeFile(fd);
  }
  return draft;
}

/** Removes drafts, except those whose owner `isNeeded`. */
export function removeDrafts(path: string, isNeeded: (token: string) => boolean): void {
  for (const draft of draftsOf(path)) {
    if (!isNeeded(draft.slice(path.length + 1))) rmSync(draft, { force: true });
  }
}

export function draftsOf(path: string): string[] {
  const names = readdirSync(dirname(path));
  const drafts = names.filter((name) => name.startsWith(`${basename(path)}.`));
  return drafts.map((name) => join(dirname(path), name));
}

export function tooLong(path: string, size: number): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${path} has ${size} bytes, more than a LogStore writes, and was not read; do not trust where the data set comes from.`,
    { path },
  );
}

/** The longest manifest that is read, in bytes. */
export const LONGEST = 2 ** 26;
