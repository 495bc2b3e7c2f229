import { closeSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { unlessAborted } from "@partd/core/author";
import { uniqueToken } from "@partd/disk";
import { ifSystemError } from "./io-error.js";
import { LockFolder, pause } from "./lock-folder.js";
import { mayRun } from "./may-run.js";
import { removeEventually } from "./remove-eventually.js";
import type { Reserve } from "./reserve.js";

/**
 * Who may touch a data set: any number of stores at once, or one of them alone.
 *
 * A store that works says so by a file of its own in `live/`, which stays for a moment after the
 * last operation, so that a busy store pays nothing. One that wants the data set alone takes the
 * lock in `lock/` and waits until no other is live; whoever is asks for the lock now and then, and
 * gives way. Those that share never wait for each other. A file whose process is gone counts for
 * nothing.
 */
export class Access {
  readonly #directory: string;
  readonly #token = uniqueToken();
  readonly #lock: LockFolder;
  readonly #reserve: Reserve;
  /** Whether our file in `live/` is there. */
  #live = false;
  #running = 0;
  /** Someone wants the data set alone: new operations wait. */
  #giveWay = false;
  #lastUse = 0;
  #lastLook = 0;
  #timer: NodeJS.Timeout | undefined;
  #entering: Promise<void> | undefined;
  readonly #idle: (() => void)[] = [];

  constructor(directory: string, reserve: Reserve) {
    this.#directory = directory;
    this.#reserve = reserve;
    this.#lock = new LockFolder(join(directory, "lock"), this.#token);
  }

  /** Begins a shared operation if that needs no waiting; otherwise call {@link enterLater}. */
  enter(): boolean {
    if (!this.#live || this.#giveWay) return false;
    const now = performance.now();
    this.#lastUse = now;
    try {
      if (now - this.#lastLook > LOOK_MS && this.#look(now)) return false;
    } catch (error) {
      this.#lastLook = Number.NEGATIVE_INFINITY;
      throw ifSystemError("enter", this.#directory, error);
    }
    this.#running++;
    return true;
  }

  async enterLater(signal?: AbortSignal): Promise<void> {
    while (!this.enter()) {
      this.#entering ??= this.#becomeLive()
        .catch((error) => {
          throw ifSystemError("enter", this.#directory, error);
        })
        .finally(() => {
          this.#entering = undefined;
        });
      await unlessAborted(this.#entering, signal);
    }
  }

  leave(): void {
    this.#running--;
    if (this.#running > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
    if (this.#giveWay) this.#withdraw();
  }

  /** Runs `critical` while no other store is live. No shared operation of ours may be running. */
  async exclusive<T>(critical: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      await this.#reserve.spend(() => {
        this.#lock.release(); // It may have failed after the lock was taken.
        return this.#lock.take(signal);
      });
      await this.#untilAlone(signal);
    } catch (error) {
      this.#lock.release();
      throw ifSystemError("lock", this.#directory, error);
    }
    try {
      return await critical();
    } finally {
      this.#lock.release();
    }
  }

  async close(): Promise<void> {
    this.#withdraw();
  }

  async #becomeLive(): Promise<void> {
    if (this.#giveWay) {
      if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
      this.#withdraw();
    }
    for (let wait = 0; ; wait++) {
      await this.#lock.untilFree();
      closeSync(openSync(this.#file(), "w"));
      this.#live = true;
      // The other way round the lock could be taken in between, with both sure of themselves.
      if (this.#lock.isFree()) break;
      this.#withdraw();
      await pause(wait);
    }
    this.#giveWay = false;
    this.#lastLook = this.#lastUse = performance.now();
    this.#watch();
  }

  /** Whether we have to give way. */
  #look(now: number): boolean {
    this.#lastLook = now;
    if (this.#lock.isFree()) return false;
    this.#giveWay = true;
    if (this.#running === 0) this.#withdraw();
    return true;
  }

  /** Gives way also while no operation begins. Never keeps the process running. */
  #watch(): void {
    this.#timer ??= setInterval(() => {
      const now = performance.now();
      if (this.#running === 0 && now - this.#lastUse > LINGER_MS) this.#withdraw();
      else if (!this.#giveWay) this.#lookSafely(now);
    }, LOOK_MS).unref();
  }

  /** A failure is told by the next operation, which looks again. */
  #lookSafely(now: number): void {
    try {
      this.#look(now);
    } catch {
      this.#lastLook = Number.NEGATIVE_INFINITY;
    }
  }

  #withdraw(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (!this.#live) return;
    this.#live = false;
    removeEventually(this.#file(), () => this.#live);
  }

  async #untilAlone(signal: AbortSignal | undefined): Promise<void> {
    for (let wait = 0; ; wait++) {
      signal?.throwIfAborted();
      const others = readdirSync(join(this.#directory, "live")).filter((token) => {
        if (token === this.#token) return false;
        if (mayRun(token)) return true;
        rmSync(join(this.#directory, "live", token), { force: true });
        return false;
      });
      if (others.length === 0) return;
      await pause(wait);
    }
  }

  #file(): string {
    return join(this.#directory, "live", this.#token);
  }
}

/** How often a busy store asks whether it has to give way. */
const LOOK_MS = 5;
/** How long a store counts as live after its last operation: to come back costs two system calls. */
const LINGER_MS = 20;
