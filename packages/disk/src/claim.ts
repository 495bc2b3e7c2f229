import fs from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { HeldLease } from "./lease.js";
import { type LockEntry, type LockFolder, leftBehind, SHARED } from "./lock-folder.js";
import { errnoOf } from "./system-error.js";
import { uniqueToken } from "./token.js";

/**
 * One attempt to have a lock, by `proper-lockfile`, and its renewal for as long as it is held. To
 * that package a lock is a folder: made to take the lock, removed to release it or to take it from a
 * holder that is gone. Two processes that find the same dead holder could so remove each other's
 * lock. Here the folder stays, and what counts is a file in it that is named for its owner:
 *
 * - to take the lock is to put a file of one's own there and then find nothing in its way. The later
 *   one of two sees the file of the other, so that never both hold the lock;
 * - to remove a lock is to remove the very file that was found abandoned, and no other.
 *
 * This class is the file system that `proper-lockfile` sees.
 */
export class Claim {
  readonly lease: HeldLease;
  readonly #folder: LockFolder;
  readonly #name: string;
  readonly #own: ReadonlySet<string>;
  readonly #isBusy: () => boolean;
  readonly #onRelease: () => void;
  /** Whether holders were found that had not released the lock. */
  passedOver = false;
  #held = false;
  #obstacles: readonly LockEntry[] = [];
  #fences: readonly LockEntry[] = [];

  constructor(of: {
    readonly folder: LockFolder;
    readonly directory: string;
    readonly staleMs: number;
    readonly exclusive: boolean;
    /** The token of the marks of the store that claims. */
    readonly marks: string;
    readonly isBusy: () => boolean;
    readonly onRelease: () => void;
  }) {
    const token = uniqueToken();
    this.#folder = of.folder;
    this.#name = of.exclusive ? token : SHARED + token;
    this.#own = new Set([token, of.marks]);
    this.#isBusy = of.isBusy;
    this.#onRelease = of.onRelease;
    const path = join(of.folder.path, this.#name);
    this.lease = new HeldLease({ ...of, token, path });
  }

  /** @throws an error of code `ELOCKED` if others are in the way; see {@link holder}. */
  async take(staleMs: number, onLost: () => void): Promise<void> {
    const { lock } = await loadLockfile();
    // Only its list of the locks of this thread asks for the name, which is never the same.
    this.lease.release = await lock(join(this.#folder.path, this.#name), {
      lockfilePath: this.#folder.path,
      realpath: false,
      stale: staleMs,
      fs: this,
      onCompromised: onLost,
    });
  }

  /** What stood in the way, for messages. */
  get holder(): string {
    const [first] = this.#obstacles;
    if (!first) return "another process";
    const more = this.#obstacles.length - 1;
    return this.#folder.describe(first) + (more > 0 ? ` and ${more} more` : "");
  }

  /** Holders that were passed over and may still run, as of the last look. */
  get fences(): readonly LockEntry[] {
    return this.#fences;
  }

  /** Removes what is left of it. */
  withdraw(): void {
    const { token } = this.lease;
    this.#held = false;
    leftBehind.add(token);
    this.#folder.remove(this.#name);
    leftBehind.delete(token);
  }

  /** Whether its file stands for nothing any more, but could not be removed. */
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

  /** At the exit of the process. What is being written then is undone by the next holder. */
  rmdirSync = (_path: string): void => {
    if (this.#isBusy()) return;
    this.#onRelease();
    this.#remove();
  };

  #take(): void {
    if (this.#isObstructed()) throw withCode("EEXIST");
    const now = { steady: performance.now(), wall: Date.now() };
    this.#folder.create(this.#name);
    let obstructed = true;
    try {
      obstructed = this.#isObstructed();
    } finally {
      if (obstructed) this.#tryWithdraw();
    }
    if (obstructed) throw withCode("EEXIST");
    this.lease.renew(now); // Counted from before the file was made, to be on the safe side.
    this.#held = true;
  }

  /** What stands in the way: to one that wants the lock alone, every holder. */
  #isObstructed(): boolean {
    const { exclusive } = this.lease;
    const entries = this.#folder.entries(this.#own);
    this.#fences = entries.filter(({ role }) => role === "fence");
    this.#obstacles = entries.filter(({ role }) =>
      exclusive
        ? role === "exclusive" || role === "shared"
        : role === "exclusive" || role === "wants" || role === "fence",
    );
    return this.#obstacles.length > 0;
  }

  /** proper-lockfile compares clocks. What it gets is our own verdict, in its terms. */
  #age(): { mtime: Date } {
    if (this.#held) return this.#whileOurs(() => this.#folder.stat(this.#name));
    if (this.#obstacles.length === 0) throw withCode("ENOENT");
    return { mtime: this.#obstacles.some(({ abandoned }) => abandoned) ? LONG_AGO : new Date() };
  }

  #renew(atime: Date, mtime: Date): void {
    // Late is not too late: one that passes us over looks again, see LockFolder.passOver.
    const now = { steady: performance.now(), wall: Date.now() };
    this.#whileOurs(() => fs.utimesSync(join(this.#folder.path, this.#name), atime, mtime));
    this.lease.renew(now);
  }

  /** One that stands still before it knows that it has the lock may be passed over: it tries again. */
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
      // It is marked as left behind: the next claim of this thread removes it.
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

const LONG_AGO = new Date(0);

type Lockfile = typeof import("proper-lockfile");
let loading: Promise<Lockfile> | undefined;

/**
 * It is loaded when it is first used, because it listens to the process's signals from then on. At a
 * signal it ends the process if no one else listens. A listener of `process.once` that was there
 * before would be off the list by the time it looks, so it has to look first.
 */
function loadLockfile(): Promise<Lockfile> {
  loading ??= (async () => {
    const before = new Set(signalListeners().map(([, listener]) => listener));
    const module = await import("proper-lockfile");
    for (const [signal, listener] of signalListeners()) {
      if (before.has(listener)) continue;
      process.removeListener(signal, listener);
      process.prependListener(signal, listener);
    }
    return module.default ?? module;
  })();
  return loading;
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
