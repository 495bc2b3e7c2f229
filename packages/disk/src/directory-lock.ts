import { setTimeout as sleep } from "node:timers/promises";
import { PartdError } from "@partd/core";
import { Claim } from "./claim.js";
import type { HeldLease, Lease } from "./lease.js";
import { LockFolder } from "./lock-folder.js";
import { type LockMode, LockWaiters } from "./lock-waiters.js";
import { errnoOf, isOutOfFiles, systemError } from "./system-error.js";

export interface DirectoryLockOptions {
  /** The data set that is locked, as an absolute path, for messages. */
  readonly directory: string;
  /** The folder of the lock's own files, made when it is missing. */
  readonly folder: string;
  /**
   * After how many milliseconds without a sign of life a holder is passed over that is not known to
   * have ended. The same for all that share the lock. 2,000 or more; default 10,000.
   */
  readonly staleMs?: number | undefined;
  /** After how many milliseconds a wait is given up. Default 600,000. */
  readonly timeoutMs?: number | undefined;
  /** Runs when a lease was taken, before anything uses it; if it fails the lease is given up. */
  readonly onTaken?: ((takeover: Takeover) => Promise<void>) | undefined;
  /** Runs before a lease is released, also at the exit of the process; not after it was lost. */
  readonly onRelease?: (() => void) | undefined;
  /** Whether a change is under way, so that the exit of the process must not release the lock. */
  readonly isBusy?: (() => boolean) | undefined;
  /** Closes files of the store where the process has too many open. @returns whether there were any. */
  readonly makeRoom?: (() => Promise<boolean>) | undefined;
}

/** What the one that takes a lock has to know of those that had it before. */
export interface Takeover {
  readonly lease: Lease;
  /**
   * Tokens of holders that were passed over and may still run: whatever they may yet write has to be
   * made harmless. Only a lease that is exclusive has any.
   */
  readonly unproven: readonly string[];
  /** Whether this store found holders that had ended without releasing the lock. */
  readonly ended: boolean;
}

export interface LockWait {
  readonly signal?: AbortSignal | undefined;
  /** On the clock of `performance.now()`: when the wait began that `timeoutMs` limits. Default now. */
  readonly since?: number | undefined;
}

/**
 * A lock of a directory between processes and threads, which any number of stores share or one has
 * alone. All operations of a store go by one lease at a time. It is kept for a moment after its last
 * use, since to take it costs as much as many small appends, and given up when others want it: a
 * shared one for those that want the lock alone, an exclusive one for all.
 */
export class DirectoryLock {
  readonly #directory: string;
  readonly #folder: LockFolder;
  readonly #staleMs: number;
  readonly timeoutMs: number;
  readonly #onTaken: (takeover: Takeover) => Promise<void>;
  readonly #onRelease: () => void;
  readonly #isBusy: () => boolean;
  readonly #makeRoom: () => Promise<boolean>;
  #current: HeldLease | undefined;
  #claim: Claim | undefined;
  #section: HeldLease | undefined;
  readonly #waiters: LockWaiters;
  #acquiring: Promise<void> | undefined;
  #mayTakeAt = 0;
  #closed = false;
  /** A lost holder stands in the way of sharing until one of us has had the lock alone. */
  #fenced = false;
  /** We have passed over holders since we had the lock last. */
  #ended = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: DirectoryLockOptions) {
    const { directory, folder, staleMs = 10_000, timeoutMs = 600_000 } = options;
    this.#directory = directory;
    this.#folder = new LockFolder(folder, staleMs);
    this.#staleMs = staleMs;
    this.timeoutMs = timeoutMs;
    this.#waiters = new LockWaiters(this.#folder, { directory, staleMs, timeoutMs });
    this.#onTaken = options.onTaken ?? (async () => {});
    this.#onRelease = options.onRelease ?? (() => {});
    this.#isBusy = options.isBusy ?? (() => false);
    this.#makeRoom = options.makeRoom ?? (async () => false);
  }

  /** The lease that is held, unless it is being given up, or another has the lock by now. */
  get current(): Lease | undefined {
    const lease = this.#current;
    if (!lease || lease.left) return undefined;
    if (lease.check()) return lease;
    this.#abandon(lease);
    return undefined;
  }

  /** The present lease if an operation may go by it at once; {@link leave} has to follow. */
  enter(mode: LockMode): Lease | undefined {
    if (this.#section) return used(this.#section);
    const lease = this.#current;
    if (!lease || lease.leaving || (mode === "exclusive" && !lease.exclusive)) return undefined;
    if (!lease.check()) {
      this.#abandon(lease);
      return undefined;
    }
    // Operations that follow each other without a pause let no timer run.
    if (performance.now() - lease.lastLook > lookMs(lease) && this.#isWanted(lease)) {
      this.#giveWay(lease);
      return undefined;
    }
    return used(lease);
  }

  /**
   * The same, after a wait if need be.
   *
   * @throws `ERR_PARTD_LOCK` if the lock cannot be had in time; the message names its holder.
   */
  async take(mode: LockMode, { signal, since = performance.now() }: LockWait = {}): Promise<Lease> {
    for (;;) {
      signal?.throwIfAborted();
      const lease = this.enter(mode);
      if (lease) return lease;
      await this.#change(mode, since, signal);
    }
  }

  leave(lease: Lease): void {
    const held = lease as HeldLease;
    held.users--;
    held.lastUse = performance.now();
    if (held.users === 0 && held.leaving) this.#release(held);
  }

  /** Runs `work` within a lease, beside others of the same store. */
  async hold<T>(mode: LockMode, wait: LockWait, work: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = this.enter(mode) ?? (await this.take(mode, wait));
    try {
      return await work(lease);
    } finally {
      this.leave(lease);
    }
  }

  /**
   * Runs `critical` within one exclusive lease, by which all operations go until it ends. Nothing
   * else of this store may be under way.
   *
   * @throws `ERR_PARTD_LOCK` if the lock was lost before the end.
   */
  section<T>(wait: LockWait, critical: (lease: Lease) => Promise<T>): Promise<T> {
    return this.hold("exclusive", wait, async (lease) => {
      this.#section = lease as HeldLease;
      try {
        const result = await critical(lease);
        lease.verify();
        return result;
      } finally {
        this.#section = undefined;
      }
    });
  }

  /** Gives the lock up for good; to be called when nothing is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#acquiring;
    const lease = this.#current;
    if (lease) await this.#release(lease);
    clearInterval(this.#watch);
  }

  /** Resolves when it may be worth another try to enter. */
  #change(mode: LockMode, since: number, signal: AbortSignal | undefined): Promise<void> {
    const change = this.#waiters.wait(mode, since, signal);
    this.#watch ??= this.#startWatch();
    this.#acquiring ??= this.#acquire().finally(() => {
      this.#acquiring = undefined;
      this.#waiters.resolveAll(); // One may have come after the last look at the list.
    });
    return change;
  }

  /** Polls until the lock can be had: its holder may be any process, and cannot send a word. */
  async #acquire(): Promise<void> {
    try {
      for (let outOfFiles = 0; this.#waiters.size > 0; ) {
        if (this.#closed) throw new PartdError("ERR_PARTD_CLOSED", "The store is closed.");
        if (this.#current) {
          if (this.#serves(this.#current)) return;
          await this.#outOf(this.#current);
          continue;
        }
        const rest = this.#mayTakeAt - performance.now();
        if (rest > 0) await sleep(rest);
        try {
          const failure = await this.#try();
          if (!failure) return;
          this.#waiters.rejectOverdue(failure);
          if (this.#waiters.size === 0) return; // Nor may the process be kept alive by it.
          this.#waiters.mark(this.#fenced || this.#waiters.wantExclusive);
        } catch (error) {
          if (!isOutOfFiles(error) || outOfFiles++ >= ATTEMPTS) throw error;
          // If there was nothing to close, others of the process may be about to close theirs.
          if (!(await this.#makeRoom())) await sleep(outOfFiles * 5);
          continue;
        }
        await sleep(POLL_MS[0] + Math.random() * (POLL_MS[1] - POLL_MS[0]));
      }
    } catch (error) {
      this.#waiters.rejectAll(error);
    } finally {
      this.#waiters.unmark();
    }
  }

  /** @returns who has the lock, if it cannot be had. */
  async #try(): Promise<string | undefined> {
    const exclusive = this.#fenced || this.#waiters.wantExclusive;
    const claim = new Claim({
      folder: this.#folder,
      directory: this.#directory,
      staleMs: this.#staleMs,
      marks: this.#waiters.token,
      isBusy: this.#isBusy,
      onRelease: this.#onRelease,
      exclusive,
    });
    const { lease } = claim;
    try {
      await claim.take(this.#staleMs, () => this.#abandon(lease));
    } catch (error) {
      // A shared lease is of no use while what a lost holder may yet write is not fenced off.
      this.#fenced = claim.fences.length > 0;
      this.#ended ||= claim.passedOver;
      if ((error as { code?: unknown }).code === "ELOCKED") return claim.holder;
      if (isOutOfFiles(error)) throw error;
      throw systemError({ action: "lock", path: this.#directory }, error);
    }
    this.#claim = claim;
    lease.users++;
    try {
      const fences = exclusive ? claim.fences : [];
      const unproven = fences.map(({ token }) => token);
      await this.#onTaken({ lease, unproven, ended: this.#ended || claim.passedOver });
      lease.verify();
      this.#current = lease; // Only now: what enters before would be undone with what others left.
      for (const { name } of fences) this.#folder.remove(name);
      this.#fenced = this.#ended = false;
    } catch (error) {
      lease.users--;
      await this.#release(lease);
      throw errnoOf(error) ? systemError({ action: "lock", path: this.#directory }, error) : error;
    }
    this.#watch ??= this.#startWatch();
    this.#waiters.resolveAll();
    this.leave(lease);
    return undefined;
  }

  /** Whether all who wait can go by the lease. */
  #serves(lease: HeldLease): boolean {
    if (lease.left || lease.leaving || !lease.check()) return false;
    const serves = lease.exclusive || !this.#waiters.wantExclusive;
    if (serves) this.#waiters.resolveAll();
    return serves;
  }

  /** Resolves when a lease is given up that cannot serve those who wait. */
  async #outOf(lease: HeldLease): Promise<void> {
    if (!lease.left && !lease.check()) return this.#abandon(lease);
    this.#giveWay(lease);
    this.#watch ??= this.#startWatch();
    await lease.gone;
  }

  /** Looks from time to time whether others want the lock, or we no longer do. Keeps no process alive. */
  #startWatch(): NodeJS.Timeout {
    const watch = setInterval(() => {
      const lease = this.#current;
      if (!lease) return this.#waiters.size === 0 ? this.#stopWatch() : undefined;
      if (lease.leaving) return this.#waiters.rejectOverdue("other calls of this store");
      const now = performance.now();
      if (lease.users === 0 && now - lease.lastUse >= LINGER_MS) this.#giveWay(lease);
      else if (now - lease.lastLook >= lookMs(lease) && this.#isWanted(lease)) this.#giveWay(lease);
    }, WATCH_MS);
    return watch.unref();
  }

  #stopWatch(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #giveWay(lease: HeldLease): void {
    lease.leaving = true;
    if (lease.users === 0) this.#release(lease);
  }

  async #release(lease: HeldLease): Promise<void> {
    lease.leaving = true;
    if (lease.left) return lease.gone;
    if (lease.exclusive && this.#isWanted(lease))
      this.#mayTakeAt = performance.now() + STAND_BACK_MS;
    lease.left = true;
    if (!lease.lost) this.#onRelease();
    await this.#letGo(lease);
    this.#forget(lease);
  }

  #abandon(lease: HeldLease): void {
    // What was begun in it is rejected; not so where it was being given up anyway.
    lease.lost ||= !lease.left;
    lease.left = true;
    this.#letGo(lease);
    this.#forget(lease);
  }

  /** What is left of a lease must not stand in anyone's way, nor be renewed. */
  async #letGo(lease: HeldLease): Promise<void> {
    const claim = this.#claim;
    try {
      await lease.release?.();
    } catch {
      // proper-lockfile knows that it is lost, or its file could not be removed.
    }
    if (claim?.lease !== lease || !(lease.lost || claim.isLeftBehind)) return;
    void this.#withdrawEventually(claim);
  }

  /** Until its file is gone others wait for it to be stale, which may be long. */
  async #withdrawEventually(claim: Claim): Promise<void> {
    for (let wait = WATCH_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      try {
        return claim.withdraw();
      } catch {
        await sleep(wait, undefined, { ref: false }); // The end of the process makes it void, too.
      }
    }
  }

  #forget(lease: HeldLease): void {
    if (this.#current === lease) this.#current = undefined;
    lease.resolveGone();
  }

  /** Whether others wait for what the lease keeps from them. A failed look counts as none. */
  #isWanted(lease: HeldLease): boolean {
    lease.lastLook = performance.now();
    try {
      return this.#folder
        .entries(new Set([lease.token, this.#waiters.token]))
        .some(({ role }) => role === "wants" || (lease.exclusive && role === "waits"));
    } catch {
      return false;
    }
  }
}

function used(lease: HeldLease): Lease {
  lease.users++;
  return lease;
}

/** How often a holder looks whether others want the lock: one that works alone hands on less often. */
function lookMs({ exclusive }: Lease): number {
  return exclusive ? 20 : 5;
}

/** How long a lease is kept after its last use, and how often that is looked at. */
const LINGER_MS = 50;
const WATCH_MS = 5;
/** Between two attempts to remove a file that cannot be removed: at most. */
const LONGEST_WAIT_MS = 1000;
/** Between two attempts to take a lock that is held: at least and at most. */
const POLL_MS = [2, 8] as const;
/** After an exclusive lease was given up to others: longer than they wait between two attempts. */
const STAND_BACK_MS = 12;
/** How often it is tried where the process has no descriptor left, about a second in all. */
const ATTEMPTS = 20;
