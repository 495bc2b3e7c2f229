import { PartdError } from "@partd/core";
import type { LockFolder } from "./lock-folder.js";

/** One uninterrupted time of holding the lock. */
export interface Tenure {
  /** Whether the lock was lost to another process; it is never had again in this tenure. */
  readonly lost: boolean;
  /**
   * To be called before what only the holder may do. Costs one look at the token.
   *
   * @throws `ERR_PARTD_LOCK` if the lock is another's by now, or may be.
   */
  verify(): void;
  /** The same, unless it was done in the last few milliseconds. */
  verifyNow(): void;
}

/** One that is under way in this process, or was. */
export class Held implements Tenure {
  lost = false;
  /** Whether it is to be given up as soon as nothing uses it. */
  leaving = false;
  left = false;
  users = 0;
  lastUse = performance.now();
  release: (() => Promise<void>) | undefined;
  readonly gone: Promise<void>;
  markGone!: () => void;
  readonly folder: LockFolder;
  #verified = 0;
  #verifiedWall = 0;

  constructor(folder: LockFolder) {
    this.folder = folder;
    this.gone = new Promise((resolve) => {
      this.markGone = resolve;
    });
  }

  verify(): void {
    if (this.check()) return;
    throw new PartdError(
      "ERR_PARTD_LOCK",
      `The lock of ${this.folder.directory} was lost to another process while it was in use: this process stood still for too long, or the lock was removed. Nothing was written after that; try again.`,
      { path: this.folder.directory },
    );
  }

  verifyNow(): void {
    if (this.lost || this.#age >= VERIFY_MS) this.verify();
  }

  check(): boolean {
    if (this.lost || this.left) return false;
    if (this.#age < FRESH_MS) return true;
    this.#verified = performance.now();
    this.#verifiedWall = Date.now();
    this.lost = !this.folder.isHeld;
    return !this.lost;
  }

  /** Milliseconds since the token was last seen. */
  get #age(): number {
    // The one clock stands still while a machine sleeps, the other may be set.
    return Math.max(performance.now() - this.#verified, Date.now() - this.#verifiedWall);
  }
}

/** A holder looks at its token again after so long, in the middle of a batch. */
const VERIFY_MS = 5;
/**
 * A look at the token takes 2 µs and holds for so long: it is made up to three times for an append,
 * of which a small one takes 15 µs.
 */
const FRESH_MS = 0.1;
