import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { PartdError } from "@partd/core";
import { systemError } from "@partd/disk";
import { isBaseHeader, SEGMENT_HEADER } from "../format/layout.js";
import type { ManifestLine } from "../format/manifest-line.js";
import { firstBytes } from "../open-files.js";
import type { Manifest } from "./manifest.js";
import { isBlank } from "./manifest-file.js";
import { mayRun, type Segment } from "./segment.js";
import type { SegmentList } from "./segment-list.js";

/** Compares the files in the directory with the list of segments. */
export class Inventory {
  readonly #directory: string;
  readonly #manifest: Manifest;
  readonly #list: SegmentList;
  #checkedForLost = false;

  constructor(directory: string, manifest: Manifest, list: SegmentList) {
    this.#directory = directory;
    this.#manifest = manifest;
    this.#list = list;
  }

  /** Files of segments that the manifest does not list, and unfinished indexes. */
  unlisted(): string[] {
    const listed = new Set(this.#list.segments.map(({ id }) => id));
    return this.#names().filter((name) => {
      const [, id, draft] = /^([0-9a-f]{16})\.(?:seg|idx)(?:\.(.+))?$/.exec(name) ?? [];
      return id !== undefined && (!listed.has(id) || (draft !== undefined && !mayRun(draft)));
    });
  }

  #names(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch (error) {
      throw systemError({ action: "list", path: this.#directory }, error);
    }
  }

  /**
   * Removes segments that are not on the list, which has to be complete. Call it under the exclusive
   * lock.
   *
   * @param verify throws if the lock was lost. It is called after the directory was listed, so that
   *   files of a later holder are not removed.
   * @param left what has been done already, for the message of a failure.
   */
  remove(verify: () => void, left?: string): void {
    try {
      const names = this.unlisted();
      verify();
      for (const name of names) rmSync(join(this.#directory, name), { force: true });
    } catch (error) {
      throw systemError({ action: "remove all files of", path: this.#directory, left }, error);
    }
  }

  /** @throws `ERR_PARTD_CORRUPT` if the manifest may have lost a segment that is there. */
  check(): void {
    this.#checkForLost();
    // A line that a full disk cut short is harmless: its change has not happened.
    const path = this.maybeListed();
    if (path === undefined) return;
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `${this.#manifest.path} is damaged, and ${path} may be a segment that it listed. { salvage: true } reads the others.`,
      { path: this.#manifest.path, offset: this.#manifest.damaged[0] },
    );
  }

  /**
   * A segment's line is written before its first record, and disappears only when the manifest is
   * condensed after the file was removed. So a segment with records that no line names was named in a
   * part that the manifest has lost.
   */
  #checkForLost(): void {
    if (this.#checkedForLost) return;
    const isNew = (path: string) => !this.#list.hasNamedAny || !isBaseFile(path);
    const [lost] = this.#neverNamed().filter(isNew);
    if (lost !== undefined) {
      const { path } = this.#manifest;
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `${path} was cut short: it does not name ${lost}, which has records. { salvage: true } reads the segments that it names; if ${lost} is from elsewhere, move it away.`,
        { path },
      );
    }
    this.#checkedForLost = true;
  }

  /** A segment with records that a damaged line of the manifest may have listed. */
  maybeListed(): string | undefined {
    if (this.#manifest.damaged.length === 0) return undefined;
    const paths = this.#neverNamed();
    return paths.find((path) => this.#mayHaveLostBase || !isBaseFile(path));
  }

  /**
   * Whether an unlisted base segment may hold bytes that no other segment has. It does not while the
   * segments that it was made of are there. A condensed manifest no longer lists those, so if that is
   * damaged it is unknown.
   */
  get #mayHaveLostBase(): boolean {
    if (this.#manifest.isStartDamaged || !this.#list.hasNamedAny) return true;
    return !this.#list.segments.every(({ path }) => existsSync(path));
  }

  /**
   * For a salvage: the lines that list segments again that the manifest has lost, and remove missing
   * ones from the list.
   */
  relisting(): {
    readonly lines: readonly ManifestLine[];
    readonly missing: readonly Segment[];
  } {
    const missing = this.#list.segments.filter(({ path }) => !existsSync(path));
    const lost = this.#neverNamed().filter((path) => !isBaseFile(path) || this.#mayHaveLostBase);
    if (missing.length === 0 && lost.length === 0) return { lines: [], missing };
    const base = lost.filter(isBaseFile);
    const ids = base.map((path) => `${idOf(path)}:${statSync(path).size}`).join(",") || "-";
    const gone = missing.map(({ id }) => id).join(",") || "-";
    const others = lost.filter((path) => !base.includes(path));
    const lines: ManifestLine[] = [
      ["compacted", String(this.#list.floorWithout(missing)), ids, gone],
      ...others.map((path): ManifestLine => ["segment", idOf(path), LOST_WRITER]),
    ];
    return { lines, missing };
  }

  /**
   * Segments with records that the manifest has never named. A segment that it named and no longer
   * lists was compacted or dropped.
   */
  #neverNamed(): string[] {
    const isNamed = (name: string) => this.#list.hasNamed(name.slice(0, 16));
    const suspects = this.unlisted()
      .filter((name) => name.endsWith(".seg") && !isNamed(name))
      .filter((name) => sizeOf(join(this.#directory, name)) > SEGMENT_HEADER);
    // Other stores may have added some since the last look: a segment gets its line before its first
    // record.
    if (suspects.length > 0) this.#list.sync(this.#manifest);
    return suspects.filter((name) => !isNamed(name)).map((name) => join(this.#directory, name));
  }
}

/**
 * Makes lines for segments that exist without a manifest.
 *
 * @throws `ERR_PARTD_CORRUPT` if there are any, unless `salvage`.
 */
export function findSegments(
  directory: string,
  manifest: string,
  salvage: boolean,
): ManifestLine[] {
  const found = readdirSync(directory).flatMap((name) => {
    const [, id] = /^([0-9a-f]{16})\.seg$/.exec(name) ?? [];
    const path = join(directory, name);
    const size = id === undefined ? 0 : sizeOf(path);
    return id === undefined || size <= SEGMENT_HEADER ? [] : [{ id, path, size }];
  });
  // Another process may have made the manifest and the segments meanwhile.
  const isEmpty = isBlank(manifest);
  if (!isEmpty && (found.length === 0 || existsSync(manifest))) return [];
  if (!salvage) {
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `${manifest} is ${isEmpty ? "empty, as a loss of power may leave it" : "missing"}, and there are ${found.length} segments beside it: which of them count, and in what order, is not known. Copy the folder .partd-log, too, from where the data set came from; or open it with { salvage: true }, which reads all of them, also what was deleted or compacted, and compact() it.`,
      { path: manifest },
    );
  }
  const base = found.filter(({ path }) => isBaseFile(path));
  const others = found.filter((one) => !base.includes(one));
  const floor = others.reduce((sum, { size }) => sum + size, 0);
  const ids = base.map(({ id, size }) => `${id}:${size}`).join(",") || "-";
  return [
    ["compacted", String(floor), ids, "-"],
    ...others.map(({ id }): ManifestLine => ["segment", id, LOST_WRITER]),
    ["seal"],
  ];
}

/** Stands for the token of a writer that has ended and that the manifest no longer names. */
const LOST_WRITER = "1-1-1-lost";

/** Bytes of a regular file; 0 if there is none. */
function sizeOf(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats?.isFile() ? stats.size : 0;
}

/** Whether `compact` made the file, or has just removed it. */
function isBaseFile(path: string): boolean {
  try {
    const header = firstBytes(path, SEGMENT_HEADER);
    // A compaction that was aborted elsewhere has just removed it.
    return header === undefined || isBaseHeader(header);
  } catch (error) {
    throw systemError({ action: "read", path }, error);
  }
}

function idOf(path: string): string {
  return basename(path, ".seg");
}
