import { existsSync, fstatSync, ftruncateSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { PartdError } from "@partd/core";
import { Gate, Pace } from "@partd/core/author";
import {
  DirectoryLock,
  ifSystemError,
  type Lease,
  type LockWait,
  makeFolders,
  refuseLink,
  syncDirectory,
  systemError,
} from "@partd/disk";
import type { ManifestLine } from "../format/manifest-line.js";
import { closeIdle } from "../open-files.js";
import { findSegments, Inventory } from "./inventory.js";
import { Manifest } from "./manifest.js";
import { Reserve } from "./reserve.js";
import type { Segment } from "./segment.js";
import { SegmentList } from "./segment-list.js";

export interface DataSetOptions {
  /** Whether to create the data set if there is none. Default true. */
  readonly create?: boolean;
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
  readonly #salvage: boolean;
  /** The lease of this store's exclusive section, during one. */
  #exclusiveLease: Lease | undefined;
  /** Lets one call of this store compact at a time, since all share one lease of that lock. */
  readonly #compactions = new Gate();
  readonly manifest: Manifest;
  readonly reserve: Reserve;
  /** The segments by the lines of the manifest that were read so far. */
  readonly list: SegmentList;
  /** The files of the directory, compared with the list. */
  readonly inventory: Inventory;

  /**
   * @throws `ERR_PARTD_IO` if there is no data set and none is to be created, or one of a `FileStore`;
   *   `ERR_PARTD_CORRUPT` if the manifest is missing, and there are segments.
   */
  constructor(directory: string, options: DataSetOptions = {}) {
    const { create = true, durable = false, salvage = false, staleMs, lockTimeoutMs } = options;
    const own = join(directory, ".partd-log");
    if (!existsSync(own)) refuseOther(directory, create);
    this.directory = directory;
    this.#salvage = salvage;
    this.list = new SegmentList(directory);
    try {
      for (const name of ["", "lock", "compact"]) refuseLink(join(own, name));
      makeFolders(own);
      const path = join(own, "manifest");
      this.manifest = new Manifest(path, () => findSegments(directory, path, salvage), { salvage });
      if (durable) this.#sync([own, directory, dirname(resolve(directory))]);
    } catch (cause) {
      throw systemError({ action: "open", path: directory }, cause);
    }
    this.inventory = new Inventory(directory, this.manifest, this.list);
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
        this.list.applyNews(this.manifest);
        if (pace.isOver) await pace.rest();
      }
      const { lost } = this.manifest;
      if (lost.length > 0) await this.exclusive({}, async () => this.#announceLost(lost));
    } catch (error) {
      await this.close();
      throw ifSystemError({ action: "open", path: this.directory }, error);
    }
  }

  /** Lists the segments of a manifest that was blank, unless another store has done it. */
  #announceLost(lost: readonly ManifestLine[]): void {
    if (this.list.hasNamedAny) this.relist();
    else this.announce(lost, true);
  }

  /** Applies what other processes have added to the list of segments. */
  sync(): void {
    this.list.sync(this.manifest);
  }

  /** Runs `operation` under the shared lock, after learning of all that was written before. */
  read<T>(signal: AbortSignal | undefined, operation: () => Promise<T>): Promise<T> {
    return this.lock.read("shared", { signal }, async (lease) => {
      try {
        await this.refresh(signal);
        if (!this.#salvage) this.checkReadable();
        const result = await operation();
        // If this process stood still, it may have lost the lock, and another may have compacted
        // meanwhile: the result would mix two states.
        lease.confirm();
        return result;
      } catch (error) {
        // Or the files that it was reading were removed.
        if (!signal?.aborted) lease.verify();
        throw ifSystemError({ action: "read", path: this.directory }, error);
      }
    });
  }

  /** Runs `critical` under the exclusive lock. */
  exclusive<T>(wait: LockWait, critical: () => Promise<T>): Promise<T> {
    return this.lock.section(wait, async (lease) => {
      this.#exclusiveLease = lease;
      try {
        this.sync();
        return await critical();
      } finally {
        this.#exclusiveLease = undefined;
      }
    });
  }

  /**
   * @throws `ERR_PARTD_LOCK` if this store was in an exclusive section and another store has passed it
   *   over.
   */
  verifyExclusive(): void {
    this.#exclusiveLease?.verify();
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
   * Adds lines to the manifest, and applies them and all before.
   *
   * @param lease the lease under which they are added. Default: that of {@link exclusive}.
   * @throws `ERR_PARTD_LOCK` if the lease was lost. It is then unknown whether the lines count: the
   *   next holder may have read them in time, or have replaced the manifest without them.
   */
  announce(lines: readonly ManifestLine[], durable: boolean, lease = this.#exclusiveLease): void {
    lease?.verify();
    this.manifest.add(lines, durable);
    lease?.confirm();
    const inVain = this.manifest.isReplaced; // Only possible without a lease.
    this.sync();
    if (inVain) this.announce(lines, durable, lease);
  }

  /** Removes all segments, also those that a crashed process has left, under the exclusive lock. */
  async drop(durable: boolean): Promise<void> {
    const line = ["drop", String(this.list.clock())] as const;
    await this.reserve.spend(async () => this.announce([line], durable));
    const left = "all keys are gone, and what is left of the files only takes space";
    this.inventory.remove(() => this.verifyExclusive(), left);
    this.condense();
  }

  /**
   * Shortens a manifest whose lines are mostly obsolete. Call it under the exclusive lock. If it
   * fails, the old one stays.
   */
  condense(): void {
    this.sync();
    try {
      const { inventory } = this;
      if (inventory.maybeListed() !== undefined || inventory.unlisted().length > 0) return;
      this.manifest.condense(this.list.essence(inventory.unlisted()), () => this.verifyExclusive());
    } catch {
      // A full disk: try again another time.
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
    this.inventory.check();
  }

  /**
   * For a salvage: lists segments again that the manifest has lost, and removes missing ones from the
   * list. Call it under the exclusive lock.
   *
   * @returns the segments that are missing.
   */
  relist(): readonly Segment[] {
    const { lines, missing } = this.inventory.relisting();
    if (lines.length > 0) this.announce(lines, true);
    return missing;
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
   * records the present length, because the clock counts it and must not go back. The exclusive lock
   * keeps the file from being cut while another process has read the manifest and not yet the lengths.
   */
  async giveBack(segment: Segment): Promise<void> {
    const { id, position: end } = segment;
    segment.hold(); // Through the descriptor that writes.
    try {
      const { size } = fstatSync(segment.fd);
      if (size - end < WORTH_GIVING_BACK) return;
      const line = ["finished", id, String(end), String(size)] as const;
      await this.reserve.spend(async () => this.announce([line], false));
      const signal = AbortSignal.timeout(GIVE_BACK_MS);
      await this.lock.hold("exclusive", { signal }, async (lease) => {
        lease.verify();
        if (this.segments.includes(segment)) ftruncateSync(segment.fd, end);
        this.reserve.make(); // Before other programs take the space.
      });
    } catch {
      // What was not freed takes space until the next compaction.
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
   * Stores that were passed over may still run: makes their late writes harmless. It ends their segments
   * at their present length, so that a late record is after the end, and replaces the manifest that they
   * have open, so that a late line lands in a file without a name. Such a line has no effect: no one
   * writes a record or removes a file before {@link announce} has confirmed the lease.
   */
  async #fence(lease: Lease, unproven: readonly string[]): Promise<void> {
    if (unproven.length === 0) return;
    this.manifest.removeDrafts();
    await this.#endOthers(lease);
    this.manifest.replace(this.list.essence(this.inventory.unlisted()), () => lease.verify());
  }

  /** Records where the segments of other writers end now. */
  async #endOthers(lease: Lease): Promise<void> {
    await this.refresh();
    const ends = [...this.list.growing]
      .filter((segment) => !segment.isOwn)
      .map((segment): ManifestLine => {
        const { id, position, size } = segment;
        return ["finished", id, String(position), String(Math.max(position, size))];
      });
    if (ends.length > 0) this.announce(ends, true, lease);
  }
}

/** @throws `ERR_PARTD_IO` if no data set may be made in the directory. */
function refuseOther(directory: string, create: boolean): void {
  const refusal = (reason: string) =>
    new PartdError("ERR_PARTD_IO", `${directory} ${reason}`, { path: directory });
  if (!create) {
    throw refusal(
      "is not a data set of a LogStore; check the path, or leave { create: false } out to make one there.",
    );
  }
  if (existsSync(join(directory, ".partd"))) {
    throw refusal(
      "is a data set of a FileStore, which would take segments for keys; open it with FileStore, or choose another directory.",
    );
  }
}

/** The fewest bytes that are worth freeing. */
const WORTH_GIVING_BACK = 64 * 1024;
/** The longest wait for the lock to do it. */
const GIVE_BACK_MS = 5000;
