import {
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { PartdError } from "@partd/core";
import { Gate, Pace } from "@partd/core/author";
import {
  DirectoryLock,
  ifSystemError,
  type Lease,
  type LockWait,
  syncDirectory,
  systemError,
} from "@partd/disk";
import { SEGMENT_HEADER } from "../format/layout.js";
import { Manifest, type ManifestEntry } from "../format/manifest.js";
import { writeIndex } from "../index/index-file.js";
import { GrowingIndex } from "../index/range-chains.js";
import { closeIdle } from "../open-files.js";
import { Reserve } from "./reserve.js";
import { mayRun, type Segment } from "./segment.js";
import { findSegments, isBaseFile, LOST_WRITER, QUIET, SegmentList } from "./segment-list.js";

export interface DataSetOptions {
  /** Whether the directory itself is to outlast a power failure. */
  readonly durable?: boolean;
  /** Whether to list the segments found where the manifest is missing. */
  readonly salvage?: boolean | undefined;
  readonly staleMs?: number | undefined;
  readonly lockTimeoutMs?: number | undefined;
}

/** A directory of segments, as this process knows it. */
export class DataSet {
  readonly directory: string;
  readonly lock: DirectoryLock;
  readonly #compaction: DirectoryLock;
  /** The lease of the exclusive section, while this store is in one. */
  #alone: Lease | undefined;
  /** Lets one call of this store compact at a time, since all share one lease of that lock. */
  readonly #compactions = new Gate();
  readonly manifest: Manifest;
  readonly reserve: Reserve;
  /** The segments by the entries of the manifest that were read so far. */
  readonly list: SegmentList;
  #checkedForLost = false;

  /** @throws `ERR_PARTD_CORRUPT` if the manifest is missing, and there are segments. */
  constructor(directory: string, options: DataSetOptions = {}) {
    const { durable = false, salvage = false, staleMs, lockTimeoutMs } = options;
    this.directory = directory;
    this.list = new SegmentList(directory);
    const own = join(directory, ".partd-log");
    try {
      mkdirSync(own, { recursive: true });
      const path = join(own, "manifest");
      this.manifest = new Manifest(path, () => findSegments(directory, path, salvage), { salvage });
      if (durable) this.#sync([own, directory, dirname(resolve(directory))]);
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
      onTaken: ({ lease, unproven }) => this.#fence(lease, unproven),
    });
    this.#compaction = new DirectoryLock({ ...waits, folder: join(own, "compact") });
  }

  #sync(folders: readonly string[]): void {
    try {
      for (const each of folders) syncDirectory(each);
    } catch (error) {
      this.manifest.close();
      throw error;
    }
  }

  /** In the order in which they were added; base segments first. */
  get segments(): readonly Segment[] {
    return this.list.segments;
  }

  /** Reads the manifest, which may be long, for the first time. A failure closes the data set. */
  async load(): Promise<void> {
    const pace = new Pace();
    try {
      while (this.manifest.hasNews) {
        this.#applyNews();
        if (pace.isOver) await pace.rest();
      }
    } catch (error) {
      await this.close();
      throw ifSystemError({ action: "open", path: this.directory }, error);
    }
  }

  /** Applies what other processes have added to the list of segments. */
  sync(): void {
    try {
      while (this.manifest.hasNews) this.#applyNews();
    } catch (error) {
      throw ifSystemError({ action: "read", path: this.manifest.path }, error);
    }
  }

  #applyNews(): void {
    const { isReplaced } = this.manifest;
    for (const entry of this.manifest.news()) {
      // Entries of a replaced file do not count, except where a process that passed us over ended our
      // segment.
      const isOurs = entry[0] === "finished" && this.list.find(entry[1])?.isOwn;
      if (!isReplaced || isOurs) this.list.apply(entry);
    }
    if (isReplaced && !this.manifest.hasUnread) this.list.reload(this.manifest.reopen());
  }

  /** Runs `critical` under the exclusive lock. */
  alone<T>(wait: LockWait, critical: () => Promise<T>): Promise<T> {
    return this.lock.section(wait, async (lease) => {
      this.#alone = lease;
      try {
        this.sync();
        return await critical();
      } finally {
        this.#alone = undefined;
      }
    });
  }

  /**
   * @throws `ERR_PARTD_LOCK` if this store was in an exclusive section and another store has passed it
   *   over.
   */
  verifyAlone(): void {
    this.#alone?.verify();
  }

  /** Learns of every record whose append resolved before this call, in any process. */
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
   * Adds entries to the manifest, and applies them and all before.
   *
   * @param lease the lease under which they are added. Default: that of {@link alone}.
   * @throws `ERR_PARTD_LOCK` if the lease was lost. It is then unknown whether the entries count: the
   *   next holder may have read them in time, or have replaced the manifest without them.
   */
  announce(entries: readonly ManifestEntry[], durable: boolean, lease = this.#alone): void {
    lease?.verify();
    this.manifest.add(entries, durable);
    lease?.confirm();
    const inVain = this.manifest.isReplaced; // Only possible without a lease.
    this.sync();
    if (inVain) this.announce(entries, durable, lease);
  }

  /**
   * Shortens a manifest whose lines are mostly obsolete. Call it under the exclusive lock. If it
   * fails, the old one stays.
   */
  condense(): void {
    this.sync();
    try {
      if (this.maybeListed() !== undefined || this.unlisted().length > 0) return;
      this.manifest.condense(this.list.essence(this.unlisted()), () => this.verifyAlone());
    } catch {
      // A full disk: try again another time.
    }
  }

  /** Files of segments that the manifest does not list, and unfinished indexes. */
  unlisted(): string[] {
    const listed = new Set(this.segments.map(({ id }) => id));
    return this.#names().filter((name) => {
      const [, id, draft] = /^([0-9a-f]{16})\.(?:seg|idx)(?:\.(.+))?$/.exec(name) ?? [];
      return id !== undefined && (!listed.has(id) || (draft !== undefined && !mayRun(draft)));
    });
  }

  #names(): string[] {
    try {
      return readdirSync(this.directory);
    } catch (error) {
      throw systemError({ action: "list", path: this.directory }, error);
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
  removeUnlisted(verify: () => void, left?: string): void {
    try {
      const names = this.unlisted();
      verify();
      for (const name of names) rmSync(join(this.directory, name), { force: true });
    } catch (error) {
      throw systemError({ action: "remove all files of", path: this.directory, left }, error);
    }
  }

  /**
   * @throws `ERR_PARTD_CORRUPT` if damage to records or to the list of segments may concern any
   * key.
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
    this.checkList();
  }

  /** @throws `ERR_PARTD_CORRUPT` if the manifest may have lost a segment that is there. */
  checkList(): void {
    this.#checkForLost();
    // A line that a full disk cut short is harmless: its change has not happened.
    const path = this.maybeListed();
    if (path === undefined) return;
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `${this.manifest.path} is damaged, and ${path} may be a segment that it listed. { salvage: true } reads the others.`,
      { path: this.manifest.path, offset: this.manifest.damaged[0] },
    );
  }

  /**
   * A segment's line is written before its first record, and disappears only when the manifest is
   * condensed after the file was removed. So a segment with records that no line names was named in a
   * part that the manifest has lost.
   */
  #checkForLost(): void {
    if (this.#checkedForLost) return;
    const isNew = (path: string) => !this.list.hasNamedAny || !isBaseFile(path);
    const [lost] = this.#neverNamed().filter(isNew);
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
    const paths = this.#neverNamed();
    return paths.find((path) => this.#mayHaveLostBase || !isBaseFile(path));
  }

  /**
   * While the segments that a base segment was made of are there, it holds nothing new. That is not
   * known if the damaged line belongs to a condensed manifest, which no longer lists those segments.
   */
  get #mayHaveLostBase(): boolean {
    if (this.manifest.isStartDamaged || !this.list.hasNamedAny) return true;
    return !this.segments.every(({ path }) => existsSync(path));
  }

  /**
   * For a salvage: lists segments again that the manifest has lost, and removes missing ones from the
   * list. Call it under the exclusive lock.
   *
   * @returns the segments that are missing.
   */
  relist(): readonly Segment[] {
    const missing = this.segments.filter(({ path }) => !existsSync(path));
    const lost = this.#neverNamed().filter((path) => !isBaseFile(path) || this.#mayHaveLostBase);
    if (missing.length === 0 && lost.length === 0) return [];
    const base = lost.filter(isBaseFile);
    const ids = base.map((path) => `${idOf(path)}:${statSync(path).size}`).join(",") || "-";
    const gone = missing.map(({ id }) => id).join(",") || "-";
    const others = lost.filter((path) => !base.includes(path));
    this.announce(
      [
        ["compacted", String(this.list.floorWithout(missing)), ids, gone],
        ...others.map((path): ManifestEntry => ["segment", idOf(path), LOST_WRITER]),
      ],
      true,
    );
    return missing;
  }

  /**
   * Segments with records that the manifest has never named. A segment that it named and no longer
   * lists was compacted or dropped.
   */
  #neverNamed(): string[] {
    const isNamed = (name: string) => this.list.hasNamed(name.slice(0, 16));
    const suspects = this.unlisted()
      .filter((name) => name.endsWith(".seg") && !isNamed(name))
      .filter((name) => (statSync(join(this.directory, name), QUIET)?.size ?? 0) > SEGMENT_HEADER);
    // Other stores may have added some since the last look: a segment gets its line before its first
    // record.
    if (suspects.length > 0) this.sync();
    return suspects.filter((name) => !isNamed(name)).map((name) => join(this.directory, name));
  }

  /**
   * Removes the files of segments that no longer belong to the data set. A file that cannot be removed
   * is left to the next `compact` or `drop`.
   */
  removeFiles(segments: readonly Segment[]): void {
    for (const path of segments.flatMap((one) => [one.path, one.indexPath])) {
      try {
        rmSync(path, { force: true });
      } catch {
        // It only takes space.
      }
    }
  }

  /**
   * Frees the space behind the last record of our segment after a failed append. First the manifest
   * records the length that counts for the clock, which must not go back. Under the exclusive lock,
   * nobody is between reading the manifest and looking at lengths.
   */
  async giveBack(segment: Segment): Promise<void> {
    const { id, position: end } = segment;
    segment.hold(); // Through the descriptor that writes.
    try {
      const { size } = fstatSync(segment.fd);
      if (size - end < WORTH_GIVING_BACK) return;
      const entry = ["finished", id, String(end), String(size)] as const;
      await this.reserve.spend(async () => this.announce([entry], false));
      const signal = AbortSignal.timeout(GIVE_BACK_MS);
      await this.lock.hold("exclusive", { signal }, async (lease) => {
        lease.verify();
        if (this.segments.includes(segment)) ftruncateSync(segment.fd, end);
        this.reserve.make(); // Before other programs take the space.
      });
    } catch {
      // It only takes space until the next compaction.
    } finally {
      segment.unhold();
    }
  }

  /** Runs `work` while no other store compacts. */
  compaction<T>(signal: AbortSignal, work: (lease: Lease) => Promise<T>): Promise<T> {
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
   * Makes late writes of stores harmless that were passed over and may still run. It ends their
   * segments at their present length, so that a late record is after the end, and replaces the manifest
   * that they have open, so that a late line lands in a file without a name. Such a line has no effect:
   * no one writes a record or removes a file before {@link announce} has confirmed the lease.
   */
  async #fence(lease: Lease, unproven: readonly string[]): Promise<void> {
    if (unproven.length === 0) return;
    this.manifest.removeDrafts();
    await this.#endOthers(lease);
    this.manifest.replace(this.list.essence(this.unlisted()), () => lease.verify());
  }

  /** Records where the segments of other writers end now. */
  async #endOthers(lease: Lease): Promise<void> {
    await this.refresh();
    const ends = [...this.list.growing]
      .filter((segment) => !segment.isOwn)
      .map((segment): ManifestEntry => {
        const { id, position, size } = segment;
        return ["finished", id, String(position), String(Math.max(position, size))];
      });
    if (ends.length > 0) this.announce(ends, true, lease);
  }
}

/**
 * Writes the indexes of segments whose writers were killed before they could. The next process to open
 * the data set then need not read these segments through, as this one did.
 */
export async function describeOthers(dataSet: DataSet): Promise<void> {
  for (const segment of dataSet.segments) {
    const { index, finished, unreadable } = segment;
    if (segment.isOwn || !segment.complete || !finished || unreadable.length > 0) continue;
    if (!(index instanceof GrowingIndex)) continue;
    try {
      await writeIndex(segment.indexPath, segment.id, finished.end, index);
      dataSet.sync();
      if (!dataSet.segments.includes(segment)) dataSet.removeFiles([segment]);
      else if (dataSet.list.growing.has(segment)) {
        const { end, size } = finished;
        dataSet.announce([["finished", segment.id, String(end), String(size)]], false);
      }
    } catch {
      return; // The disk is full or read-only: an index only saves time.
    }
  }
}

function idOf(path: string): string {
  return basename(path, ".seg");
}

/** The fewest bytes that are worth freeing. */
const WORTH_GIVING_BACK = 64 * 1024;
/** The longest wait for the lock to do it. */
const GIVE_BACK_MS = 5000;
