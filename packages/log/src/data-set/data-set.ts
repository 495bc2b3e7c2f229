import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { PartdError } from "@partd/core";
import { Gate } from "@partd/core/author";
import { DirectoryLock, ifSystemError, type Lease, syncDirectory, systemError } from "@partd/disk";
import { SEGMENT_HEADER } from "../format/layout.js";
import { Manifest, type ManifestEntry } from "../format/manifest.js";
import { closeIdle } from "../open-files.js";
import { findSegments, isBaseFile, QUIET } from "./found-segments.js";
import { Reserve } from "./reserve.js";
import { mayRun, Segment } from "./segment.js";

export interface DataSetOptions {
  /** Whether the directory itself is to outlast a power failure. */
  readonly durable?: boolean;
  /** Whether to list what segments there are where the manifest is missing. */
  readonly salvage?: boolean | undefined;
  readonly staleMs?: number | undefined;
  readonly lockTimeoutMs?: number | undefined;
}

/** A directory of segments, as this process knows it. */
export class DataSet {
  readonly directory: string;
  readonly lock: DirectoryLock;
  readonly #compaction: DirectoryLock;
  /** All calls of this store go by one lease of that lock. */
  readonly #compactions = new Gate();
  readonly manifest: Manifest;
  readonly reserve: Reserve;
  /** In the order in which they were added; base segments first. */
  segments: readonly Segment[] = [];
  /** What the clock counted before the segments there are. */
  #floor = 0;
  /** Bytes of finished segments that are no base. */
  #finishedBytes = 0;
  /** Ids of all segments that the manifest has named. */
  readonly #named = new Set<string>();
  #checkedForLost = false;
  /** The others, whose length is asked for. */
  #growing: Segment[] = [];

  /** @throws `ERR_PARTD_CORRUPT` if the manifest is missing, and there are segments. */
  constructor(directory: string, options: DataSetOptions = {}) {
    const { durable = false, salvage = false, staleMs, lockTimeoutMs } = options;
    this.directory = directory;
    const own = join(directory, ".partd-log");
    try {
      mkdirSync(own, { recursive: true });
      const path = join(own, "manifest");
      this.manifest = new Manifest(path, () => findSegments(directory, path, salvage));
      if (durable)
        for (const each of [own, directory, dirname(resolve(directory))]) syncDirectory(each);
    } catch (cause) {
      throw systemError({ action: "open", path: directory }, cause);
    }
    this.reserve = new Reserve(join(own, "reserve"));
    const waits = {
      directory,
      staleMs,
      timeoutMs: lockTimeoutMs,
      makeRoom: async () => closeIdle(),
    };
    this.lock = new DirectoryLock({
      ...waits,
      folder: join(own, "lock"),
      onTaken: ({ unproven }) => this.#fence(unproven),
    });
    this.#compaction = new DirectoryLock({ ...waits, folder: join(own, "compact") });
  }

  /** Takes note of what other processes have done to the list of segments. */
  sync(): void {
    while (this.manifest.hasNews) {
      if (this.manifest.isReplaced) this.#reload();
      else for (const entry of this.manifest.news()) this.#apply(entry);
    }
  }

  /** Knows every record that was resolved before the call, whoever wrote it. */
  async refresh(signal?: AbortSignal): Promise<void> {
    this.sync();
    const behind = this.segments.filter((segment) => !segment.complete && !segment.isOwn);
    for (let i = 0; i < behind.length; i += 4) {
      signal?.throwIfAborted();
      try {
        await Promise.all(behind.slice(i, i + 4).map((segment) => segment.catchUp()));
      } catch (error) {
        throw ifSystemError({ action: "read", path: this.directory }, error);
      }
    }
  }

  /**
   * The bytes of all segments there ever were. Every record makes them more, so that a record
   * whose stamp is higher than what the clock shows comes after all that were resolved before,
   * whatever the clocks of their writers say.
   */
  clock(): number {
    let bytes = this.#floor + this.#finishedBytes;
    for (const segment of this.#growing) bytes += segment.size;
    return bytes;
  }

  /** Whether the manifest does not yet say that the segment is finished. */
  isGrowing(segment: Segment): boolean {
    return this.#growing.includes(segment);
  }

  addOwn(segment: Segment): void {
    this.segments = [...this.segments, segment];
    this.#growing.push(segment);
  }

  /** Takes back `addOwn`: no one else was told of the segment. */
  removeOwn(segment: Segment): void {
    this.segments = this.segments.filter((other) => other !== segment);
    this.#growing = this.#growing.filter((other) => other !== segment);
  }

  /**
   * Adds entries to the manifest, and takes note of them and of all before.
   *
   * @param lease by which they may be added. A manifest that is replaced meanwhile takes nothing
   *   from one that was lost: see `#fence`.
   */
  announce(entries: readonly ManifestEntry[], durable: boolean, lease?: Lease): void {
    lease?.verify();
    this.manifest.add(entries, durable);
    const inVain = this.manifest.isReplaced; // Only of who does not share the data set just now.
    this.sync();
    if (inVain) this.announce(entries, durable, lease);
  }

  /**
   * Shortens a manifest of which most is of the past. For who has the data set alone. It may fail:
   * then the old one stays.
   */
  condense(): void {
    this.sync();
    try {
      if (this.maybeListed() !== undefined || this.unlisted().length > 0) return;
      this.manifest.condense(this.#essence());
    } catch {
      // A full disk: the next time will do.
    }
  }

  /** Files of segments that the manifest does not list, and indexes that were not written to the end. */
  unlisted(): string[] {
    const listed = new Set(this.segments.map(({ id }) => id));
    return readdirSync(this.directory).filter((name) => {
      const [, id, draft] = /^([0-9a-f]{16})\.(?:seg|idx)(?:\.(.+))?$/.exec(name) ?? [];
      return id !== undefined && (!listed.has(id) || (draft !== undefined && !mayRun(draft)));
    });
  }

  /** For who has the data set alone, and knows that the list of segments is whole. */
  removeUnlisted(): void {
    try {
      for (const name of this.unlisted()) rmSync(join(this.directory, name), { force: true });
    } catch (error) {
      throw systemError({ action: "remove all files of", path: this.directory }, error);
    }
  }

  /**
   * @throws `ERR_PARTD_CORRUPT` if it cannot be known what the keys hold: records, or the list of
   * segments, are damaged.
   */
  checkReadable(): void {
    for (const { unreadable, path } of this.segments) {
      const [first] = unreadable;
      if (!first) continue;
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `${path} is damaged at ${first.offset}: ${first.why}. What keys had bytes there is not known, so that every key may lack some. verify() lists all damage; a store opened with { salvage: true } reads what is left, and its compact() makes a whole data set of that.`,
        { path, offset: first.offset },
      );
    }
    this.#checkForLost();
    // A line that a full disk cut short is no harm: what it was to tell has not happened.
    const path = this.maybeListed();
    if (path === undefined) return;
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `${this.manifest.path} is damaged, and ${path} may be a segment that it listed. { salvage: true } reads the others.`,
      { path: this.manifest.path, offset: this.manifest.damaged[0] },
    );
  }

  /**
   * A segment has its line before its first record, and loses it only when the manifest is
   * condensed after its file was removed. One with records that was never named was named in what
   * the manifest has lost.
   */
  #checkForLost(): void {
    if (this.#checkedForLost) return;
    const isLost = (name: string) => {
      const path = join(this.directory, name);
      return (
        /^[0-9a-f]{16}\.seg$/.test(name) &&
        !this.#named.has(name.slice(0, 16)) &&
        (statSync(path, QUIET)?.size ?? 0) > SEGMENT_HEADER &&
        !isBaseFile(path)
      );
    };
    const suspects = this.unlisted().filter(isLost);
    if (suspects.length > 0) this.sync(); // They may be new.
    const [lost] = suspects.filter(isLost);
    if (lost !== undefined) {
      const { path } = this.manifest;
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
    if (this.manifest.damaged.length === 0) return undefined;
    const paths = this.unlisted()
      .filter((name) => name.endsWith(".seg"))
      .map((name) => join(this.directory, name))
      .filter((path) => (statSync(path, QUIET)?.size ?? 0) > SEGMENT_HEADER);
    // What `compact` made holds nothing new as long as all is there that it was made of.
    const isWhole = this.segments.every(({ path }) => existsSync(path));
    return paths.find((path) => !isWhole || !isBaseFile(path));
  }

  /**
   * Removes the files of segments that are no longer part of the data set. What cannot be removed is
   * left to the next `compact` or `drop`.
   */
  removeFiles(segments: readonly Segment[]): void {
    for (const path of segments.flatMap((one) => [one.path, one.indexPath])) {
      try {
        rmSync(path, { force: true });
      } catch {
        // Nobody reads it any more.
      }
    }
  }

  /** Runs `work` while no one else compacts. */
  compaction<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const alone = () => this.#compaction.hold("exclusive", { signal }, work);
    return this.#compactions.exclusive(alone, { signal });
  }

  async close(): Promise<void> {
    for (const segment of this.segments) segment.close();
    await this.lock.close();
    await this.#compaction.close();
    this.manifest.close();
  }

  /**
   * Makes harmless what stores may yet write that were passed over and may still run: their segments
   * end where they are, so that a late record is behind the end, and a new manifest takes the place
   * of the one that they have open, so that a late line is in a file without a name.
   */
  async #fence(unproven: readonly string[]): Promise<void> {
    if (unproven.length === 0) return;
    await this.refresh();
    const ends = this.#growing
      .filter((segment) => !segment.isOwn)
      .map((segment): ManifestEntry => {
        const { id, position, size } = segment;
        return ["finished", id, String(position), String(Math.max(position, size))];
      });
    this.announce(ends, true);
    this.manifest.replace(this.#essence());
  }

  /** The fewest entries that say the same as all there were. */
  #essence(): ManifestEntry[] {
    const entriesOf = (segment: Segment): ManifestEntry[] => {
      const { id, finished, writer } = segment;
      const listed: ManifestEntry = ["segment", id, writer];
      if (!finished || this.isGrowing(segment)) return [listed];
      return [listed, ["finished", id, String(finished.end), String(finished.size)]];
    };
    const base = this.segments.filter(({ isBase }) => isBase);
    const others = this.segments.filter(({ isBase }) => !isBase);
    const baseIds = base.map(({ id, finished }) => `${id}:${finished?.end}`).join(",");
    return [
      ["compacted", String(this.#floor), baseIds || "-", "-"],
      ...others.filter(({ sealed }) => sealed).flatMap(entriesOf),
      ["seal"],
      ...others.filter(({ sealed }) => !sealed).flatMap(entriesOf),
    ];
  }

  /** The manifest was condensed: it says how things stand, and no longer how they came about. */
  #reload(): void {
    const entries = this.manifest.reopen();
    const before = this.segments;
    const known = new Map(before.map((segment) => [segment.id, segment]));
    this.segments = [];
    this.#growing = [];
    this.#floor = this.#finishedBytes = 0;
    for (const entry of entries) this.#apply(entry, known);
    const kept = before.filter((segment) => this.segments.includes(segment));
    for (const segment of before) if (!kept.includes(segment)) segment.release();
  }

  #apply(entry: ManifestEntry, known?: ReadonlyMap<string, Segment>): void {
    switch (entry[0]) {
      case "segment": {
        const [, id, writer] = entry;
        this.#named.add(id);
        if (this.#find(id)) return;
        const segment = known?.get(id) ?? new Segment(this.directory, id, writer);
        this.segments = [...this.segments, segment];
        if (segment.finished) this.#finishedBytes += segment.finished.size;
        else this.#growing.push(segment);
        return;
      }
      case "finished": {
        const [, id, end, size] = entry;
        const segment = this.#find(id);
        const at = segment ? this.#growing.indexOf(segment) : -1;
        if (!segment || at < 0) return;
        this.#growing.splice(at, 1);
        segment.finished = { end: Number(end), size: Number(size) };
        this.#finishedBytes += segment.finished.size;
        if (segment.position === segment.finished.end) segment.complete = true;
        return;
      }
      case "seal":
        for (const segment of this.segments) segment.sealed = true;
        return;
      case "compacted": {
        const [, floor, newIds, oldIds] = entry;
        const base = idsOf(newIds).map((item) => {
          const [id = "", end] = item.split(":");
          const there = known?.get(id);
          if (there) return there;
          const segment = new Segment(this.directory, id, "", { isBase: true });
          segment.finished = { end: Number(end), size: Number(end) };
          segment.sealed = true;
          return segment;
        });
        const old = new Set(idsOf(oldIds));
        for (const { id } of base) this.#named.add(id);
        const kept = this.segments.filter(({ id }) => !old.has(id));
        this.#replace([...base, ...kept], Number(floor));
        return;
      }
      case "drop":
        this.#replace([], Number(entry[1]));
        return;
    }
  }

  #replace(segments: readonly Segment[], floor: number): void {
    const kept = new Set(segments);
    for (const segment of this.segments) if (!kept.has(segment)) segment.release();
    this.segments = segments;
    this.#floor = floor;
    this.#growing = segments.filter((segment) => !segment.finished && !segment.isBase);
    this.#finishedBytes = 0;
    for (const segment of segments) {
      if (!segment.isBase) this.#finishedBytes += segment.finished?.size ?? 0;
    }
  }

  #find(id: string): Segment | undefined {
    return this.segments.findLast((segment) => segment.id === id);
  }
}

function idsOf(list: string): string[] {
  return list === "-" ? [] : list.split(",");
}
