import { setTimeout as sleep } from "node:timers/promises";
import { type OperationOptions, PartdError } from "@partd/core";
import { unlessAborted } from "@partd/core/author";
import { type Disk, errnoOf } from "./disk.js";
import { ioError } from "./io-error.js";
import type { Layout } from "./layout.js";
import { LockFolder, WantedMark } from "./lock-folder.js";
import { lockfile } from "./lockfile.js";
import { ATTEMPTS, isOutOfFiles } from "./open-files.js";
import { Held, type Tenure } from "./tenure.js";

/** Called now and then for as long as the lock cannot be had; `explain` makes the error to give up with. */
export type HeldUp = (explain: () => PartdError) => void;

/** What the store does with the lock. */
export interface LockUse {
  /** Runs when the lock was taken, before anything else; if it fails the lock is given up. */
  taken(): Promise<void>;
  /**
   * Runs when the lock is used again after a rest. Programs that know nothing of it, such as Python's
   * partd, may have had their turn.
   */
  resumed(): void;
  /** Whether a write is under way, so that the end of the process must not give the lock up. */
  readonly busy: () => boolean;
  /** Closes files, because the process has too many open. */
  makeRoom(): Promise<boolean>;
}

/**
 * The directory's lock between processes, shared by all that the store does at once, and kept for a
 * moment after its last use, since taking it costs as much as a hundred small appends.
 */
export class DirectoryLock {
  readonly #layout: Layout;
  readonly #disk: Disk;
  readonly #use: LockUse;
  readonly #staleMs: number;
  /** How long a call waits for the lock, at most. */
  readonly timeoutMs: number;
  readonly #wanted: WantedMark;
  #current: Held | undefined;
  #section: Tenure | undefined;
  #taking: Promise<Held> | undefined;
  /** Those who wait for it. */
  readonly #waiting = new Set<HeldUp>();
  #mayTakeAt = 0;
  #closed = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(layout: Layout, disk: Disk, use: LockUse, staleMs: number, timeoutMs: number) {
    this.#layout = layout;
    this.#disk = disk;
    this.#use = use;
    this.#staleMs = staleMs;
    this.timeoutMs = timeoutMs;
    this.#wanted = new WantedMark(layout.own("wanted"));
  }

  /** The present tenure; none if the lock is not held, or another has it by now. */
  get tenure(): Tenure | undefined {
    const held = this.#current;
    if (!held || held.left) return undefined; // What is being given up is not lost.
    if (held.check()) return held;
    this.#abandon(held);
    return undefined;
  }

  /**
   * Runs `critical` in a single tenure, in which `hold` then runs its work, too. Nothing else may be
   * under way in this store.
   *
   * @throws `ERR_PARTD_LOCK` if the lock was lost before the end.
   */
  section<T>(options: OperationOptions, critical: () => Promise<T>): Promise<T> {
    return this.hold(options, async (tenure) => {
      this.#section = tenure;
      try {
        const result = await critical();
        tenure.verify();
        return result;
      } finally {
        this.#section = undefined;
      }
    });
  }

  /**
   * Runs `work` while the lock is held, along with others; takes it first if need be.
   *
   * @param heldUp decides when the wait is over, by way of the signal. Without it, the timeout does.
   */
  async hold<T>(
    options: OperationOptions,
    work: (tenure: Tenure) => Promise<T>,
    heldUp?: HeldUp,
  ): Promise<T> {
    if (this.#section) return work(this.#section);
    let held = this.#current;
    if (!held || held.leaving || !held.check()) held = await this.#take(options, heldUp);
    if (held.users++ === 0 && performance.now() - held.lastUse > REST_MS) this.#use.resumed();
    try {
      return await work(held);
    } finally {
      held.users--;
      held.lastUse = performance.now();
      if (held.users === 0 && held.leaving) this.#leave(held);
    }
  }

  /** Gives the lock up for good; to be called when nothing is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    try {
      await this.#taking; // By a call that was given up.
    } catch {
      // It has found out that the store is closed.
    }
    if (this.#current) await this.#leave(this.#current);
  }

  async #take(options: OperationOptions, heldUp?: HeldUp): Promise<Held> {
    const limit = heldUp ? undefined : new Limit(this.timeoutMs);
    const waiter = heldUp ?? (limit as Limit).heldUp;
    this.#waiting.add(waiter);
    try {
      for (;;) {
        options.signal?.throwIfAborted();
        const held = this.#current;
        if (held?.check() && !held.leaving) return held;
        if (held && !held.left && !held.check()) this.#abandon(held);
        else {
          const change = held?.gone ?? this.#taken();
          await unlessAborted(limit ? Promise.race([change, limit.over]) : change, options.signal);
        }
      }
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  /** Resolves when it was taken, for whoever waits. */
  async #taken(): Promise<void> {
    this.#taking ??= this.#acquire().finally(() => {
      this.#taking = undefined;
    });
    try {
      await this.#taking;
    } catch (error) {
      if (error !== NO_ONE_WAITS) throw error; // We came when it had just been given up.
    }
  }

  /** Polls until the lock can be had: its holder may be any process, and cannot send a word. */
  async #acquire(): Promise<Held> {
    const { lock } = await lockfile();
    let outOfFiles = 0;
    for (;;) {
      if (this.#closed) throw new PartdError("ERR_PARTD_CLOSED", "The store is closed.");
      const rest = this.#mayTakeAt - performance.now();
      if (rest > 0) await sleep(rest);
      const folder = new LockFolder(this.#layout, this.#disk, this.#staleMs, this.#use.busy);
      const held = new Held(folder);
      try {
        held.release = await lock(folder.id, {
          lockfilePath: folder.path,
          realpath: false,
          stale: this.#staleMs,
          fs: folder,
          onCompromised: () => this.#abandon(held),
        });
      } catch (error) {
        if (isOutOfFiles(error) && outOfFiles++ < ATTEMPTS) {
          // If there was nothing to close, others of the process may be about to close theirs.
          if (!(await this.#use.makeRoom())) await sleep(outOfFiles * 5);
          continue;
        }
        if (errnoOf(error) !== "ELOCKED") throw ioError("lock", this.#layout.directory, error);
        this.#tellHeldUp(folder.holder, error);
        if (this.#waiting.size === 0) throw NO_ONE_WAITS; // Nor may the process be kept alive by it.
        await this.#sayWanted();
        await sleep(POLL_MS[0] + Math.random() * (POLL_MS[1] - POLL_MS[0]));
        continue;
      }
      this.#current = held;
      try {
        await this.#use.taken();
        held.verify();
      } catch (error) {
        await this.#leave(held);
        throw error;
      }
      this.#watch ??= this.#startWatch();
      return held;
    }
  }

  /** Looks from time to time whether others want the lock, or we no longer do. */
  #startWatch(): NodeJS.Timeout {
    const watch = setInterval(async () => {
      const held = this.#current;
      if (!held) return this.#stopWatch();
      if (held.leaving) return this.#tellHeldUp("other calls of this process");
      const idle = held.users === 0 && performance.now() - held.lastUse >= LINGER_MS;
      if (idle || (await this.#isWanted())) {
        held.leaving = true;
        if (held.users === 0) await this.#leave(held);
      }
    }, WATCH_MS);
    return watch.unref(); // A process that has nothing else to do may end: see LockFolder.rmdirSync.
  }

  #stopWatch(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  async #leave(held: Held): Promise<void> {
    held.leaving = true;
    if (held.left) return held.gone;
    held.left = true;
    if (await this.#isWanted()) {
      this.#mayTakeAt = performance.now() + STAND_BACK_MS;
      await this.#clearWanted();
    }
    await this.#release(held);
    this.#forget(held);
  }

  #abandon(held: Held): void {
    // Appends that were made in it are rejected; not so where it was being given up anyway.
    held.lost ||= !held.left;
    held.left = true;
    this.#forget(held);
    this.#release(held);
  }

  /** What is left of a lock must not stand in anyone's way, nor be renewed. */
  async #release(held: Held): Promise<void> {
    try {
      await held.release?.();
    } catch {
      // proper-lockfile knows that it is lost, or the token could not be removed.
    }
    if (held.lost || held.folder.isLeftBehind) this.#removeToken(held.folder);
  }

  /** Until it is gone the others wait for it to be stale, which may be long. */
  async #removeToken(folder: LockFolder): Promise<void> {
    for (let wait = WATCH_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      try {
        return await this.#disk.run(folder.withdraw());
      } catch {
        await sleep(wait, undefined, { ref: false }); // The end of the process makes it void, too.
      }
    }
  }

  #forget(held: Held): void {
    if (this.#current === held) {
      this.#current = undefined;
      this.#stopWatch();
    }
    held.markGone();
  }

  async #isWanted(): Promise<boolean> {
    return this.#disk.run(this.#wanted.isSet());
  }

  async #clearWanted(): Promise<void> {
    try {
      await this.#disk.run(this.#wanted.clear());
    } catch {
      // We stand back more often than we need.
    }
  }

  async #sayWanted(): Promise<void> {
    try {
      await this.#disk.run(this.#wanted.set());
    } catch {
      // It only makes the wait shorter.
    }
  }

  #tellHeldUp(holder: string, cause?: unknown): void {
    const path = this.#layout.directory;
    const explain = () =>
      new PartdError(
        "ERR_PARTD_LOCK",
        `The lock of ${path} is held by ${holder} and could not be had within ${this.timeoutMs} ms; wait for that process, or raise lockTimeoutMs.`,
        { path, cause },
      );
    for (const heldUp of [...this.#waiting]) heldUp(explain);
  }
}

/** A wait that has an end. */
class Limit {
  /** Rejects when the wait is over. */
  readonly over: Promise<never>;
  readonly heldUp: HeldUp;

  constructor(milliseconds: number) {
    const since = performance.now();
    let giveUp: (error: PartdError) => void = () => {};
    this.over = new Promise((_, reject) => {
      giveUp = reject;
    });
    this.over.catch(() => {}); // It may come when no one listens any more.
    this.heldUp = (explain) => {
      if (performance.now() - since >= milliseconds) giveUp(explain());
    };
  }
}

const NO_ONE_WAITS = new Error("No one waits any more.");

/** How long the lock is kept after its last use, and how often it is looked whether others wait. */
const LINGER_MS = 50;
const WATCH_MS = 20;
/** Between two attempts to remove a token that cannot be removed: at most. */
const LONGEST_WAIT_MS = 1000;
/** After so long without use, files are looked at again. */
const REST_MS = 1;
/** Between two attempts to take a lock that is held: at least and at most. */
const POLL_MS = [2, 8] as const;
/** After giving the lock up to others: longer than they wait between two attempts. */
const STAND_BACK_MS = 12;
