import fs from "node:fs";
import { PartdError } from "@partd/core";
import type { Anchor } from "./anchor.js";
import { systemError } from "./system-error.js";

/** One uninterrupted period of holding a lock. */
export interface Lease {
  readonly exclusive: boolean;
  /** The lease's name in the lock's folder, unique to it. */
  readonly token: string;
  /** Whether another owner has taken the lock. A lost lease never comes back. */
  readonly lost: boolean;
  /**
   * Whether the clock proves that no one can have taken the lock until now: a taker first watches a
   * token for longer than this one has gone unrenewed. Any later taker sees what was written
   * before.
   */
  isInTime(): boolean;
  /**
   * Call this after writing a change and before it counts. Costs two clock readings, and a look at
   * the token if the clock proves nothing.
   *
   * @throws `ERR_PARTD_LOCK` if the lock was lost.
   */
  confirm(): void;
  /**
   * Looks at the token, unless that was done within the last 0.1 ms.
   *
   * @throws `ERR_PARTD_LOCK` if the lock was lost.
   */
  verify(): void;
  /**
   * Looks at the token, unless that was done within the last few milliseconds.
   *
   * @throws `ERR_PARTD_LOCK` if the lock was lost.
   */
  verifyNow(): void;
}

/** What a new holder must know about earlier ones. */
export interface Takeover {
  readonly lease: Lease;
  /**
   * Tokens of holders that were passed over and may still run: the new holder must make harmless
   * whatever they may still write. Empty for a shared lease.
   */
  readonly unproven: readonly string[];
  /** Whether this store found holders that had ended without releasing the lock. */
  readonly ended: boolean;
}

/** A lease of this store, with the lock's own bookkeeping. */
export class HeldLease implements Lease {
  readonly exclusive: boolean;
  readonly token: string;
  lost = false;
  /** Release it as soon as nothing uses it. */
  leaving = false;
  left = false;
  users = 0;
  lastUse = performance.now();
  /** When we last looked whether others want it. Not before its first use, which is our turn. */
  lastLook = Number.POSITIVE_INFINITY;
  release: (() => Promise<void>) | undefined;
  readonly gone: Promise<void>;
  resolveGone!: () => void;
  readonly #directory: string;
  readonly #path: string;
  readonly #staleMs: number;
  readonly #anchor: Anchor;
  /**
   * When the token was renewed. Two clocks: the steady one stops while a machine sleeps, and the
   * wall clock may be set.
   */
  #renewed = { steady: performance.now(), wall: Date.now() };
  #seen = { steady: 0, wall: 0 };

  constructor(of: {
    exclusive: boolean;
    token: string;
    directory: string;
    path: string;
    staleMs: number;
    anchor: Anchor;
  }) {
    this.exclusive = of.exclusive;
    this.token = of.token;
    this.#directory = of.directory;
    this.#path = of.path;
    this.#staleMs = of.staleMs;
    this.#anchor = of.anchor;
    this.gone = new Promise((resolve) => {
      this.resolveGone = resolve;
    });
  }

  /** @param at the clocks before the token was renewed. */
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

  /** Whether the lease still holds. `now` is the steady clock. */
  check(now = performance.now()): boolean {
    if (this.lost || this.left) return false;
    return ageOf(this.#seen, now) < FRESH_MS || this.#look();
  }

  #look(): boolean {
    if (this.lost || this.left) return false;
    const now = { steady: performance.now(), wall: Date.now() };
    try {
      if (fs.existsSync(this.#path) && this.#anchor.holds) this.#seen = now;
      else this.lost = true;
    } catch (error) {
      throw systemError({ action: "look at the lock of", path: this.#directory }, error);
    }
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

function ageOf(
  { steady, wall }: { readonly steady: number; readonly wall: number },
  now = performance.now(),
): number {
  return Math.max(now - steady, Date.now() - wall);
}

/** In the middle of a batch, a holder looks at its token this often. */
const VERIFY_MS = 5;
/** How long a look at the token is valid: it takes 2 µs, and a small append 15 µs. */
const FRESH_MS = 0.1;
