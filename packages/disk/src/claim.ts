import fs from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PartdError } from "@partd/core";
import type { Anchor } from "./anchor.js";
import { HeldLease } from "./lease.js";
import {
  isMark,
  type LockEntry,
  type LockFolder,
  leftBehind,
  type Role,
  SHARED,
} from "./lock-folder.js";
import type { LockWaiters } from "./lock-waiters.js";
import { errnoOf } from "./system-error.js";
import { uniqueToken } from "./token.js";

/**
 * One attempt to take a lock with `proper-lockfile`, and its renewal while the lock is held. In
 * that package a lock is a folder: making it takes the lock, and removing it releases the lock or
 * takes it from a dead holder. Two processes that find the same dead holder could thus remove each
 * other's lock. Here the folder stays, and a file in it, named for its owner, is the lock:
 *
 * - taking the lock means creating one's own file and then finding no other in the way. The later
 *   of two sees the file of the earlier, so they never both hold the lock;
 * - removing a lock means removing exactly the file that was found abandoned.
 *
 * This class is the file system that `proper-lockfile` sees.
 */
export class Claim {
  readonly lease: HeldLease;
  readonly #folder: LockFolder;
  readonly #name: string;
  readonly #own: ReadonlySet<string>;
  readonly #waiters: LockWaiters;
  readonly #isBusy: () => boolean;
  readonly #onRelease: () => void;
  /** Whether this claim passed over holders that had not released the lock. */
  passedOver = false;
  #held = false;
  #obstacles: readonly LockEntry[] = [];
  #marks: readonly LockEntry[] = [];
  #fences: readonly LockEntry[] = [];

  constructor(of: {
    readonly folder: LockFolder;
    readonly anchor: Anchor;
    readonly directory: string;
    readonly staleMs: number;
    readonly exclusive: boolean;
    /** The waiting calls of the claiming store. */
    readonly waiters: LockWaiters;
    readonly isBusy: () => boolean;
    readonly onRelease: () => void;
  }) {
    const token = uniqueToken();
    this.#folder = of.folder;
    this.#name = of.exclusive ? token : SHARED + token;
    this.#own = new Set([token, of.waiters.token]);
    this.#waiters = of.waiters;
    this.#isBusy = of.isBusy;
    this.#onRelease = of.onRelease;
    const path = join(of.folder.path, this.#name);
    this.lease = new HeldLease({ ...of, token, path });
  }

  /** @throws an error with the code `ELOCKED` if others are in the way; see {@link holder}. */
  async take(staleMs: number, onLost: () => void): Promise<void> {
    const { lock } = await loadLockfile();
    // proper-lockfile uses this name only in its list of this thread's locks; it is never the same
    // twice.
    this.lease.release = await lock(join(this.#folder.path, this.#name), {
      lockfilePath: this.#folder.path,
      realpath: false,
      stale: staleMs,
      fs: this,
      onCompromised: onLost,
    });
  }

  /** Describes what was in the way, for messages. */
  get holder(): string {
    const first = this.#obstacles.find(({ role }) => !isMark(role)) ?? this.#obstacles[0];
    if (!first) return "another process";
    const more = this.#obstacles.length - 1;
    return this.#folder.describe(first) + (more > 0 ? ` and ${more} more` : "");
  }

  /** Tokens of the other waiters, as of the last look. */
  get others(): readonly string[] {
    return this.#marks.map(({ token }) => token);
  }

  /** Whether the lock is free, and only waiters whose turn comes first are in the way. */
  get isLeftToOthers(): boolean {
    return this.#obstacles.length > 0 && this.#obstacles.every(({ role }) => isMark(role));
  }

  /** Holders that were passed over and may still run, as of the last look. */
  get fences(): readonly LockEntry[] {
    return this.#fences;
  }

  /** Removes the claim's file. */
  withdraw(): void {
    const { token } = this.lease;
    this.#held = false;
    leftBehind.add(token);
    // A file that is missing may be away with its folder, and come back with it.
    if (this.#folder.remove(this.#name)) leftBehind.delete(token);
  }

  /** Retries until the file is gone: others wait until it is stale, which may take long. */
  async withdrawEventually(): Promise<void> {
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      try {
        return this.withdraw();
      } catch {
        // The end of the process also invalidates the file.
        await sleep(wait, undefined, { ref: false });
      }
    }
  }

  /** Whether the claim is over but its file could not be removed. */
  get isLeftBehind(): boolean {
    return leftBehind.has(this.lease.token);
  }

  // ---- What proper-lockfile calls ----------------------------------------------------------------

  mkdir = (_path: string, answer: Answer): void => answerWith(answer, () => this.#take());

  stat = (_path: string, answer: Answer<{ mtime: Date }>): void =>
    answerWith(answer, () => this.#age());

  utimes = (_path: string, atime: Date, mtime: Date, answer: Answer): void =>
    answerWith(answer, () => this.#renew(atime, mtime));

  rmdir = (_path: string, answer: Answer): void => answerWith(answer, () => this.#remove());

  /** Called when the process exits. A change under way then is undone by the next holder. */
  rmdirSync = (_path: string): void => {
    if (this.#isBusy()) return;
    this.#onRelease();
    this.#remove();
  };

  #take(): void {
    if (this.#isObstructed()) throw withCode("EEXIST");
    const now = { steady: performance.now(), wall: Date.now() };
    let obstructed = true;
    try {
      this.#folder.create(this.#name);
      obstructed = this.#isObstructed();
    } finally {
      if (obstructed) this.#tryWithdraw();
    }
    if (obstructed) throw withCode("EEXIST");
    this.lease.renew(now); // The age counts from before the file was made, to be on the safe side.
    this.#held = true;
  }

  /** Whether others are in the way: holders, and waiters whose turn comes first. */
  #isObstructed(): boolean {
    const { exclusive } = this.lease;
    const entries = this.#folder.entries(this.#own);
    this.#fences = entries.filter(({ role }) => role === "fence");
    this.#marks = entries.filter(({ role }) => isMark(role));
    const inTheWay = exclusive ? EXCLUDE_EXCLUSIVE : EXCLUDE_SHARED;
    this.#obstacles = entries.filter(
      ({ role, token }) => inTheWay.has(role) && (!isMark(role) || this.#waiters.isAhead(token)),
    );
    return this.#obstacles.length > 0;
  }

  /**
   * proper-lockfile judges by file times. It gets our verdict in that form: a time long ago if the
   * holder is abandoned.
   */
  #age(): { mtime: Date } {
    if (this.#held) return this.#whileOurs(() => this.#folder.stat(this.#name));
    if (this.#obstacles.length === 0) throw withCode("ENOENT");
    return { mtime: this.#obstacles.some(({ abandoned }) => abandoned) ? LONG_AGO : new Date() };
  }

  #renew(atime: Date, mtime: Date): void {
    // A late renewal may still be in time: whoever passes us over looks again
    // (LockFolder.passOver).
    const now = { steady: performance.now(), wall: Date.now() };
    this.#whileOurs(() => fs.utimesSync(join(this.#folder.path, this.#name), atime, mtime));
    this.lease.renew(now);
  }

  /**
   * A claim that stands still before it knows that it has the lock may be passed over. Report
   * `ELOCKED` then, so that it is tried again.
   */
  #whileOurs<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const isTaken = this.lease.release !== undefined;
      throw !isTaken && errnoOf(error) === "ENOENT" ? withCode("ELOCKED") : error;
    }
  }

  #remove(): void {
    if (this.#held) this.withdraw();
    else {
      for (const entry of this.#obstacles) {
        if (!entry.abandoned || !this.#folder.passOver(entry)) continue;
        leftBehind.delete(entry.token);
        this.passedOver = true;
      }
    }
  }

  #tryWithdraw(): void {
    try {
      this.withdraw();
    } catch {
      // It is marked as left behind: this thread's next claim removes it.
    }
  }
}

type Answer<T = void> = (error: Error | null, result?: T) => void;

function answerWith<T>(answer: Answer<T>, work: () => T): void {
  let result: T | undefined;
  let failure: Error | null = null;
  try {
    result = work();
  } catch (error) {
    failure = error as Error;
  }
  answer(failure, result);
}

function withCode(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** The files of others that are in the way of an exclusive claim, and of a shared one. */
const EXCLUDE_EXCLUSIVE: ReadonlySet<Role> = new Set(["exclusive", "shared", "wants", "waits"]);
const EXCLUDE_SHARED: ReadonlySet<Role> = new Set(["exclusive", "fence", "wants"]);
const LONG_AGO = new Date(0);

type Lockfile = typeof import("proper-lockfile");
type Loaded = Lockfile & { readonly default?: Lockfile };
let loading: Promise<Lockfile> | undefined;

/**
 * Loads `proper-lockfile` at first use, because from then on it listens to the process's signals.
 * At a signal it ends the process if there is no other listener. An earlier `process.once` listener
 * has left the list by the time it looks, so its listener is moved to the front.
 */
function loadLockfile(): Promise<Lockfile> {
  loading ??= (async () => {
    const before = new Set(signalListeners().map(([, listener]) => listener));
    const module: Loaded | undefined = await import("proper-lockfile");
    if (!module) throw notEvaluated();
    for (const [signal, listener] of signalListeners()) {
      if (before.has(listener)) continue;
      process.removeListener(signal, listener);
      process.prependListener(signal, listener);
    }
    return module.default ?? module;
  })();
  return loading;
}

/**
 * The error if `proper-lockfile` is used before it has run, because a bundler has inlined it after this
 * module.
 */
function notEvaluated(): PartdError {
  return new PartdError(
    "ERR_PARTD_IO",
    "The bundle has proper-lockfile behind the top-level await that needs it; put the program into a function that it calls, or bundle without inlineDynamicImports.",
  );
}

function signalListeners(): [NodeJS.Signals, NodeJS.SignalsListener][] {
  return (Object.keys(constants.signals) as NodeJS.Signals[]).flatMap((signal) =>
    process
      .rawListeners(signal)
      .map((listener): [NodeJS.Signals, NodeJS.SignalsListener] => [
        signal,
        listener as NodeJS.SignalsListener,
      ]),
  );
}

/** The shortest and longest pause between attempts to remove a file that cannot be removed. */
const FIRST_WAIT_MS = 5;
const LONGEST_WAIT_MS = 1000;
