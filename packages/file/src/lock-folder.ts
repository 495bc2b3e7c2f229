import fs, { constants, type Stats } from "node:fs";
import { basename, join } from "node:path";
import { isToken, pidOf, stateOf, uniqueToken } from "@partd/disk";
import { type Disk, errnoOf, runNow, type Steps } from "./disk.js";
import { exists, unlinkIfThere } from "./file-steps.js";
import type { Layout } from "./layout.js";

type Answer<T = void> = (error: Error | null, result?: T) => void;

/**
 * The file system as `proper-lockfile` sees it, for one acquisition. To that package a lock is a
 * folder: made to take the lock, removed to release it or to take it from a holder who is gone. Two
 * processes that find the same dead holder could so remove each other's lock. Here the folder stays,
 * and what counts is a file in it, the token, which is named after the process and this acquisition:
 *
 * - to take the lock is to put one's token there and then find it alone. Of two processes the one
 *   that comes later sees the token of the other, so that never both hold the lock;
 * - to remove a lock is to remove the very token that was found abandoned, and no other;
 * - the token of a dead process of this machine counts as abandoned at once, others when their time
 *   of change has not been renewed for as long as `proper-lockfile` is told.
 */
export class LockFolder {
  readonly directory: string;
  readonly #path: string;
  readonly #disk: Disk;
  readonly #token: string;
  readonly #origin: string;
  readonly #staleMs: number;
  #held = false;
  /** The token of another holder that was found last. */
  #found: string | undefined;
  /** Whether the process may end while a write of ours is under way in the thread pool. */
  readonly #busy: () => boolean;
  /** When the token was renewed, on the clock that goes on while a machine sleeps and on the other. */
  #renewed = { wall: 0, steady: 0 };

  constructor(layout: Layout, disk: Disk, staleMs: number, busy: () => boolean) {
    this.directory = layout.directory;
    this.#path = layout.own("lock");
    this.#disk = disk;
    this.#staleMs = staleMs;
    this.#busy = busy;
    this.#token = join(this.#path, uniqueToken());
    this.#origin = layout.own("token");
  }

  /** For proper-lockfile, which keeps a list of the locks of this process: never the same. */
  get id(): string {
    return this.#token;
  }

  get path(): string {
    return this.#path;
  }

  /** The holder that stood in the way, for messages. */
  get holder(): string {
    return this.#found ? `process ${pidOf(basename(this.#found))}` : "another process";
  }

  /**
   * Whether the lock is ours still: the token is there, and was renewed in time. One that was not
   * may be removed at any moment by who has seen it, and renewing it would come too late.
   */
  get isHeld(): boolean {
    return this.#held && this.#inTime && fs.existsSync(this.#token);
  }

  get #inTime(): boolean {
    const { wall, steady } = this.#renewed;
    return Math.max(Date.now() - wall, performance.now() - steady) < this.#staleMs;
  }

  // ---- What proper-lockfile calls ----------------------------------------------------------------

  mkdir = (_path: string, answer: Answer): void => this.#answer(this.#take(), answer);

  stat = (_path: string, answer: Answer<{ mtime: Date }>): void =>
    this.#answer(this.#age(), answer);

  utimes = (_path: string, atime: Date, mtime: Date, answer: Answer): void =>
    this.#answer(this.#renew(atime, mtime), answer);

  rmdir = (_path: string, answer: Answer): void => this.#answer(this.#remove(), answer);

  /** At the exit of the process. What is being written then is cut back by the next holder. */
  rmdirSync = (_path: string): void => {
    if (!this.#busy()) runNow(this.#remove());
  };

  *#take(): Steps<void> {
    for (;;) {
      if (yield* this.#findOther()) throw taken(this.#path);
      // Counted from before the token was made, to be on the safe side.
      this.#renewed = { wall: Date.now(), steady: performance.now() };
      try {
        yield* this.#putToken();
        if (!(yield* this.#findOther())) {
          this.#held = true;
          return;
        }
      } catch (error) {
        yield* this.#withdrawQuietly();
        if (errnoOf(error) !== "ENOENT") throw error;
        yield ["mkdir", this.#path, { recursive: true }];
        continue;
      }
      yield* this.#withdrawQuietly();
      throw taken(this.#path);
    }
  }

  /** As a second name of one file that stays, which takes a third of making a file, or less. */
  *#putToken(): Steps<void> {
    try {
      yield ["link", this.#origin, this.#token];
      return;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") return yield* create(this.#token); // No links there.
    }
    yield* create(this.#token);
    try {
      yield ["link", this.#token, this.#origin];
    } catch {
      // Another process made it, or none can.
    }
  }

  *#age(): Steps<{ mtime: Date }> {
    const token = this.#held ? this.#token : this.#found;
    if (!token) throw absent(this.#path);
    if (!this.#held && isDead(basename(token))) return { mtime: new Date(0) };
    return (yield ["stat", token]) as Stats;
  }

  *#renew(atime: Date, mtime: Date): Steps<void> {
    if (!this.#inTime) throw absent(this.#path); // proper-lockfile then gives it up.
    const renewed = { wall: Date.now(), steady: performance.now() };
    yield ["utimes", this.#token, atime, mtime];
    this.#renewed = renewed;
  }

  /** Whether our token stands for nothing any more, but could not be removed. */
  get isLeftBehind(): boolean {
    return leftBehind.has(basename(this.#token));
  }

  /** Removes what is left of us. */
  *withdraw(): Steps<void> {
    const name = basename(this.#token);
    this.#held = false;
    leftBehind.add(name);
    yield* unlinkIfThere(this.#token);
    leftBehind.delete(name);
  }

  *#withdrawQuietly(): Steps<void> {
    try {
      yield* this.withdraw();
    } catch {
      // Who comes next from this process tries again, and is told if it fails.
    }
  }

  *#remove(): Steps<void> {
    if (this.#held) yield* this.withdraw();
    else if (this.#found && (yield* unlinkIfThere(this.#found)))
      leftBehind.delete(basename(this.#found));
  }

  /** Looks for a token that is not ours; for a dead one, if there are several. */
  *#findOther(): Steps<boolean> {
    this.#found = undefined;
    let names: string[];
    try {
      names = (yield ["readdir", this.#path]) as string[];
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      return false;
    }
    const ours = basename(this.#token);
    const others = names.filter((name) => isToken(name) && name !== ours);
    if (others.length === 0) return false;
    this.#found = join(this.#path, others.find(isDead) ?? (others[0] as string));
    return true;
  }

  #answer<T>(steps: Steps<T>, answer: Answer<T>): void {
    Promise.resolve()
      .then(() => this.#disk.run(steps))
      .then(
        (result) => answer(null, result),
        (error: Error) => answer(error),
      );
  }
}

/** Tells the holder that others wait: it gives the lock up as soon as its batch is done. */
export class WantedMark {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  *set(): Steps<void> {
    if (!(yield* exists(this.#path))) yield* create(this.#path);
  }

  isSet(): Steps<boolean> {
    return exists(this.#path);
  }

  *clear(): Steps<void> {
    yield* unlinkIfThere(this.#path);
  }
}

function* create(path: string): Steps<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT;
  const fd = (yield ["open", path, flags, 0o666]) as number;
  yield ["close", fd];
}

/** Of a process on another machine, in another container or from before a reboot nothing is known. */
function isDead(token: string): boolean {
  return stateOf(token) === "ended" || leftBehind.has(token);
}

/** Names of tokens of this process that mean nothing, and could not be removed. */
const leftBehind = new Set<string>();

function taken(path: string): Error {
  return Object.assign(new Error(`${path} is held`), { code: "EEXIST" });
}

function absent(path: string): Error {
  return Object.assign(new Error(`${path} is free`), { code: "ENOENT" });
}
