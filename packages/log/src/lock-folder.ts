import {
  closeSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { mayRun } from "./may-run.js";
import { removeEventually } from "./remove-eventually.js";

/**
 * A lock that one process takes at a time: the highest-numbered file of a folder, which names its
 * holder. A holder that died is passed over by the next number, which only one can create, so that
 * nobody ever removes a lock that another has just taken.
 */
export class LockFolder {
  readonly #folder: string;
  readonly #token: string;
  #held: number | undefined;
  /** Others waited when we released the lock. */
  #owesTurn = false;

  constructor(folder: string, token: string) {
    this.#folder = folder;
    this.#token = token;
  }

  isFree(): boolean {
    return !this.#isHeldBy(this.#last().holder);
  }

  async untilFree(): Promise<void> {
    await this.#poll(() => this.isFree());
  }

  async take(signal?: AbortSignal): Promise<void> {
    if (this.#owesTurn) {
      // Without this, one that takes the lock again and again would never let others have it.
      this.#owesTurn = false;
      const since = performance.now();
      while (this.isFree() && this.#othersWait() && performance.now() - since < TURN_MS) {
        await pause(0);
        signal?.throwIfAborted();
      }
    }
    await this.#poll(() => this.tryToTake(), signal);
  }

  tryToTake(): boolean {
    const { number, holder } = this.#last();
    if (this.#isHeldBy(holder)) return false;
    const draft = join(this.#folder, `draft-${this.#token}`);
    const mine = number + 1;
    try {
      writeFileSync(draft, this.#token);
      linkSync(draft, join(this.#folder, String(mine)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    } finally {
      removeEventually(draft, () => false);
    }
    this.#held = mine;
    // What we saw may have been out of date: whoever holds a higher number came before us.
    if (this.#last().number === mine) {
      this.#removeBelow(mine - 1);
      return true;
    }
    this.release();
    return false;
  }

  release(): void {
    if (this.#held === undefined) return;
    const number = this.#held;
    const path = join(this.#folder, String(number));
    this.#held = undefined;
    // Its number may be given out anew before it can be removed.
    removeEventually(
      path,
      () => this.#held === number || readFileSync(path, "latin1") !== this.#token,
    );
    try {
      this.#owesTurn = this.#othersWait();
    } catch {
      // The data set is gone, and with it all who might wait.
    }
  }

  /** A file of ours that we hold no more could not be removed. */
  #isHeldBy(holder: string | undefined): boolean {
    if (holder === undefined || (holder === this.#token && this.#held === undefined)) return false;
    return mayRun(holder);
  }

  /** Dead holders but for the last: its file keeps those who are late from taking its number. */
  #removeBelow(number: number): void {
    for (const name of readdirSync(this.#folder)) {
      if (Number(name) < number) rmSync(join(this.#folder, name), { force: true });
    }
  }

  /** Asks again and again, with a file in the folder that tells others so. */
  async #poll(done: () => boolean, signal?: AbortSignal): Promise<void> {
    if (done()) return;
    const waiting = join(this.#folder, `waiting-${this.#token}`);
    closeSync(openSync(waiting, "w"));
    try {
      for (let wait = 0; !done(); wait++) {
        await pause(wait);
        signal?.throwIfAborted();
      }
    } finally {
      rmSync(waiting, { force: true });
    }
  }

  #othersWait(): boolean {
    return readdirSync(this.#folder).some((name) => {
      if (!name.startsWith("waiting-") || name === `waiting-${this.#token}`) return false;
      if (mayRun(name.slice("waiting-".length))) return true;
      rmSync(join(this.#folder, name), { force: true });
      return false;
    });
  }

  /** The highest number, and whose it is. */
  #last(): { number: number; holder: string | undefined } {
    for (;;) {
      let number = 0;
      for (const name of readdirSync(this.#folder)) number = Math.max(number, Number(name) || 0);
      if (number === 0) return { number, holder: undefined };
      try {
        return { number, holder: readFileSync(join(this.#folder, String(number)), "latin1") };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  }
}

/** How long the lock is left to others that wait for it. */
const TURN_MS = 15;
const LONGEST_PAUSE_MS = 8;

/** One millisecond, then two, four, eight. */
export function pause(wait: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_PAUSE_MS, 2 ** wait)));
}
