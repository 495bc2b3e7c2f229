import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PartdError } from "@partd/core";
import { Anchor } from "./anchor.js";
import { Claim } from "./claim.js";
import type { HeldLease, Lease, Takeover } from "./lease.js";
import { LockFolder } from "./lock-folder.js";
import { type LockMode, LockWaiters } from "./lock-waiters.js";
import { ifSystemError, isOutOfFiles, systemError } from "./system-error.js";

export interface DirectoryLockOptions {
  /** The locked data set, an absolute path. For messages. */
  readonly directory: string;
  /**
   * The folder of the lock's own files, created if missing. The folder above it has to be there. If
   * that is moved away later, the lock cannot be had: `ERR_PARTD_IO`.
   */
  readonly folder: string;
  /**
   * Milliseconds without a sign of life after which a holder is passed over that is not known to
   * have ended. All who share the lock must agree. At least 2,000; default 10,000.
   */
  readonly staleMs?: number | undefined;
  /** Milliseconds after which a wait rejects with `ERR_PARTD_LOCK`. Default 600,000. */
  readonly timeoutMs?: number | undefined;
  /** Runs after a lease is taken and before anything uses it. If it fails the lease is released. */
  readonly onTaken?: ((takeover: Takeover) => Promise<void>) | undefined;
  /** Runs before a lease is released, also at the process's exit, but not after it was lost. */
  readonly onRelease?: (() => void) | undefined;
  /** Whether a change is under way. If so, the lock is not released when the process exits. */
  readonly isBusy?: (() => boolean) | undefined;
  /** Makes the folder above again if it was removed. Without this the lock cannot be had then. */
  readonly makeAgain?: (() => Promise<void>) | undefined;
  /** Closes files when the process has too many open. @returns whether any were closed. */
  readonly makeRoom?: (() => Promise<boolean>) | undefined;
}

export interface LockWait {
  readonly signal?: AbortSignal | undefined;
  /** When the wait began that `timeoutMs` limits, by `performance.now()`. Default now. */
  readonly since?: number | undefined;
}

/**
 * A lock of a directory between processes and threads: one store has it alone, or any number share
 * it. All operations of a store use one lease at a time. Taking a lease costs as much as many small
 * appends, so it is kept for a moment after its last use. It is given up when others want it: a
 * shared lease for exclusive claims, an exclusive one for any. Those who wait take turns.
 */
export class DirectoryLock {
  readonly #directory: string;
  readonly #folder: LockFolder;
  readonly #anchor: Anchor;
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
  #closed = false;
  /** A lost holder prevents sharing until one of us has had the lock alone. */
  #fenced = false;
  /** We have passed over holders since we last had the lock. */
  #ended = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: DirectoryLockOptions) {
    const { directory, folder, staleMs = 10_000, timeoutMs = 600_000 } = options;
    this.#directory = directory;
    this.#folder = new LockFolder(folder, staleMs);
    this.#anchor = new Anchor(dirname(folder), directory, options.makeAgain);
    this.#staleMs = staleMs;
    this.timeoutMs = timeoutMs;
    this.#waiters = new LockWaiters(this.#folder, { directory, staleMs, timeoutMs });
    this.#onTaken = options.onTaken ?? (async () => {});
    this.#onRelease = options.onRelease ?? (() => {});
    this.#isBusy = options.isBusy ?? (() => false);
    this.#makeRoom = options.makeRoom ?? (async () => false);
  }

  /** The current lease, unless it is being given up or was lost. */
  get current(): Lease | undefined {
    const lease = this.#current;
    if (!lease || lease.left) return undefined;
    if (lease.check()) return lease;
    this.#abandon(lease);
    return undefined;
  }

  /** The current lease, if an operation may use it at once. {@link leave} must follow. */
  enter(mode: LockMode): Lease | undefined {
    if (this.#section) return used(this.#section);
    const lease = this.#current;
    if (!lease || lease.leaving || (mode === "exclusive" && !lease.exclusive)) return undefined;
    // One reading of the clock: it takes 0.1 µs, and this runs for every small append.
    const now = performance.now();
    if (!lease.check(now)) {
      this.#abandon(lease);
      return undefined;
    }
    lease.lastLook = Math.min(lease.lastLook, now);
    // A chain of operations without a pause lets no timer run, so look here.
    if (now - lease.lastLook > lookMs(lease) && this.#isWanted(lease)) {
      this.#giveWay(lease);
      return undefined;
    }
    return used(lease);
  }

  /**
   * The same, after a wait if necessary.
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
    if (--held.users > 0) return;
    held.lastUse = performance.now();
    if (held.leaving) this.#release(held);
  }

  /** Runs `work` within a lease, beside other operations of this store. */
  async hold<T>(mode: LockMode, wait: LockWait, work: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = this.enter(mode) ?? (await this.take(mode, wait));
    try {
      return await work(lease);
    } finally {
      this.leave(lease);
    }
  }

  /**
   * The same for work that changes nothing: if the lock was lost meanwhile, because this process
   * stood still, the work is done again under a new lease. Within a section it is not.
   */
  async read<T>(mode: LockMode, wait: LockWait, work: (lease: Lease) => Promise<T>): Promise<T> {
    for (let left = READS; ; left--) {
      let used: HeldLease | undefined;
      try {
        return await this.hold(mode, wait, (lease) => {
          used = lease as HeldLease;
          return work(lease);
        });
      } catch (error) {
        if (!used?.lost || used === this.#section || left === 1) throw error;
      }
    }
  }

  /**
   * Runs `critical` within one exclusive lease, which all operations use until it ends. No other
   * operation of this store may be under way.
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

  /** Gives up the lock for good. No operation may be under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#acquiring;
    const lease = this.#current;
    if (lease) await this.#release(lease);
    clearInterval(this.#watch);
    this.#anchor.close();
  }

  /** Resolves when entering may succeed. */
  #change(mode: LockMode, since: number, signal: AbortSignal | undefined): Promise<void> {
    const change = this.#waiters.wait(mode, since, signal);
    this.#watch ??= this.#startWatch();
    this.#acquiring ??= this.#acquire().finally(() => {
      this.#acquiring = undefined;
      this.#waiters.resolveAll(); // A waiter may have come after the last look at the list.
    });
    return change;
  }

  /** Polls until the lock can be had: its holder may be any process, which cannot notify us. */
  async #acquire(): Promise<void> {
    try {
      let leftToOthers = 0;
      for (let outOfFiles = 0; this.#waiters.size > 0; ) {
        if (this.#closed) throw new PartdError("ERR_PARTD_CLOSED", "The store is closed.");
        if (this.#current) {
          if (this.#serves(this.#current)) return;
          await this.#outOf(this.#current);
          continue;
        }
        try {
          const failed = await this.#try();
          if (!failed) return;
          this.#waiters.rejectOverdue(failed.holder);
          if (this.#waiters.size === 0) return; // Do not keep the process alive for nothing.
          this.#waiters.mark(this.#fenced || this.#waiters.wantExclusive, failed.others);
          if (failed.isLeftToOthers && ++leftToOthers >= PATIENCE) this.#waiters.overtake();
        } catch (error) {
          if (!isOutOfFiles(error) || outOfFiles++ >= ATTEMPTS) throw error;
          // If there was nothing to close, other parts of the process may be about to close their
          // files.
          if (!(await this.#makeRoom())) await sleep(outOfFiles * 5);
          continue;
        }
        await sleep(POLL_MS[0] + Math.random() * (POLL_MS[1] - POLL_MS[0]));
      }
    } catch (error) {
      this.#waiters.rejectAll(ifSystemError({ action: "lock", path: this.#directory }, error));
    } finally {
      this.#waiters.unmark();
    }
  }

  /** Tries once to take the lock. @returns the claim if others are in its way. */
  async #try(): Promise<Claim | undefined> {
    const exclusive = this.#fenced || this.#waiters.wantExclusive;
    const claim = new Claim({
      folder: this.#folder,
      anchor: this.#anchor,
      directory: this.#directory,
      staleMs: this.#staleMs,
      waiters: this.#waiters,
      isBusy: this.#isBusy,
      onRelease: this.#onRelease,
      exclusive,
    });
    const { lease } = claim;
    try {
      await this.#anchor.check();
      await claim.take(this.#staleMs, () => this.#abandon(lease));
    } catch (error) {
      // A shared lease is useless while a lost holder's late writes are not fenced off.
      this.#fenced = claim.fences.length > 0;
      this.#ended ||= claim.passedOver;
      if ((error as { code?: unknown }).code === "ELOCKED") return claim;
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
      // Only now: recovery would undo the changes of any operation that entered earlier.
      this.#current = lease;
      for (const { name } of fences) this.#folder.remove(name);
      this.#fenced = this.#ended = false;
    } catch (error) {
      lease.users--;
      await this.#release(lease);
      throw ifSystemError({ action: "lock", path: this.#directory }, error);
    }
    this.#watch ??= this.#startWatch();
    this.#waiters.resolveAll();
    this.leave(lease);
    return undefined;
  }

  /** Whether the lease serves all waiters. */
  #serves(lease: HeldLease): boolean {
    if (lease.left || lease.leaving || !lease.check()) return false;
    const serves = lease.exclusive || !this.#waiters.wantExclusive;
    if (serves) this.#waiters.resolveAll();
    return serves;
  }

  /** Gives up a lease that cannot serve the waiters, and resolves when it is gone. */
  async #outOf(lease: HeldLease): Promise<void> {
    if (!lease.left && !lease.check()) return this.#abandon(lease);
    this.#giveWay(lease);
    this.#watch ??= this.#startWatch();
    await lease.gone;
  }

  /**
   * Checks regularly whether others want the lock, or we no longer need it. It does not keep the
   * process alive.
   */
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
    lease.left = true;
    if (!lease.lost) this.#onRelease();
    await this.#letGo(lease);
    this.#forget(lease);
  }

  #abandon(lease: HeldLease): void {
    // Operations begun in a lost lease reject, but not if it was being given up anyway.
    lease.lost ||= !lease.left;
    lease.left = true;
    this.#letGo(lease);
    this.#forget(lease);
  }

  /** Stops renewing a lease, and removes its file. */
  async #letGo(lease: HeldLease): Promise<void> {
    const claim = this.#claim;
    try {
      await lease.release?.();
    } catch {
      // proper-lockfile knows that it is lost, or the file could not be removed.
    }
    if (claim?.lease !== lease || !(lease.lost || claim.isLeftBehind)) return;
    void claim.withdrawEventually();
  }

  #forget(lease: HeldLease): void {
    if (this.#current === lease) this.#current = undefined;
    lease.resolveGone();
  }

  /** Whether others wait for what the lease withholds. A failed look counts as no. */
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

/** How often a holder checks whether others want the lock. An exclusive one yields less often. */
function lookMs({ exclusive }: Lease): number {
  return exclusive ? 20 : 5;
}

/** How long a lease is kept after its last use, and how often this is checked. */
const LINGER_MS = 50;
const WATCH_MS = 5;
/** The shortest and longest pause between attempts to take a lock that is held. */
const POLL_MS = [2, 8] as const;
/**
 * How many attempts of a wait leave a free lock to the waiters ahead, for about a second in all. A waiter
 * that polls takes it within a few attempts; one that stands still must not hold everyone up until it is
 * stale.
 */
const PATIENCE = 200;
/** Attempts when the process has no free descriptor: about a second in all. */
const ATTEMPTS = 20;
/** How often a read is tried, if it loses its lock each time. */
const READS = 3;
