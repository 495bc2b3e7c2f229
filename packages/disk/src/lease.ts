import fs from "node:fs";
import { PartdError } from "@partd/core";

/** One uninterrupted time of holding a lock. */
export interface Lease {
  readonly exclusive: boolean;
  /** The name of its file in the lock's folder, unique to this lease. */
  readonly token: string;
  /** Whether another has taken the lock; it never comes back within this lease. */
  readonly lost: boolean;
  /**
   * Whether no one can have taken the lock until now, by the clock alone: a taker watches a token
   * for longer than this one has gone unrenewed. What was written before is seen by any later taker.
   */
  isInTime(): boolean;
  /**
   * Call it after a change was written and before it counts. Costs two readings of a clock, and a
   * look at the token if the clock proves nothing.
   *
   * @throws `ERR_PARTD_LOCK` if the lock was lost.
   */
  confirm(): void;
  /**
   * A look at the token, unless that was done in the last 0.1 ms.
   *
   * @throws `ERR_PARTD_LOCK` if the lock was lost.
   */
  verify(): void;
  /** The same, unless it was done in the last few milliseconds. */
  verifyNow(): void;
}

/** A lease of this store, with what the lock itself keeps about it. */
export class HeldLease implements Lease {
  readonly exclusive: boolean;
  readonly token: string;
  lost = false;
  /** It is to be released as soon as nothing uses it. */
  leaving = false;
  left = false;
  users = 0;
  lastUse = performance.now();
  lastLook = this.lastUse;
  release: (() => Promise<void>) | undefined;
  readonly gone: Promise<void>;
  resolveGone!: () => void;
  readonly #directory: string;
  readonly #path: string;
  readonly #staleMs: number;
  /** When the token was renewed: the steady clock stops while a machine sleeps, the other may be set. */
  #renewed = { steady: performance.now(), wall: Date.now() };
  #seen = { steady: 0, wall: 0 };

  constructor(of: {
    exclusive: boolean;
    token: string;
    directory: string;
    path: string;
    staleMs: number;
  }) {
    this.exclusive = of.exclusive;
    this.token = of.token;
    this.#directory = of.directory;
    this.#path = of.path;
    this.#staleMs = of.staleMs;
    this.gone = new Promise((resolve) => {
      this.resolveGone = resolve;
    });
  }

  /** @param at read before the token was renewed. */
  renew(at: { steady: number; wall: number }): void {
    this.#renewed = at;
  }

  isInTime(): boolean {
    return !this.lost && !this.left && ageOf(this.#renewed) < this.#staleMs;
  }

  confirm(): void {
    if (!this.isInTime() && !this.#look()) this.#throwLost();
  }

  verify(): void {
    if (!this.check()) this.#throwLost();
  }

  verifyNow(): void {
    if (this.lost || ageOf(this.#seen) >= VERIFY_MS) this.verify();
  }

  /** Whether it still holds. */
  check(): boolean {
    if (this.lost || this.left) return false;
    return ageOf(this.#seen) < FRESH_MS || this.#look();
  }

  #look(): boolean {
    if (this.lost || this.left) return false;
    const now = { steady: performance.now(), wall: Date.now() };
    if (fs.existsSync(this.#path)) this.#seen = now;
    else this.lost = true;
    return !this.lost;
  }

  #throwLost(): never {
    throw new PartdError(
      "ERR_PARTD_LOCK",
      `The lock of ${this.#directory} was lost to another process while it was in use: this process stood still for too long, or the lock was removed. Nothing was written after that; try again.`,
      { path: this.#directory },
    );
  }
}

function ageOf({ steady, wall }: { readonly steady: number; readonly wall: number }): number {
  return Math.max(performance.now() - steady, Date.now() - wall);
}

/** In the middle of a batch a holder looks at its token again after so long. */
const VERIFY_MS = 5;
/** A look takes 2 µs where a small append takes 15 µs, so it holds for so long. */
const FRESH_MS = 0.1;
