import { WaitQueue } from "@partd/core/author";
import { SHORTEST_MESSAGE } from "./limits.js";

/** A budget of bytes, handed out in the order of the requests. */
export class Budget {
  readonly total: number;
  #taken = 0;
  /** The waiting requests, each with its bytes. */
  readonly #waiting = new WaitQueue<number>();

  constructor(total: number) {
    this.total = total;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Resolves when `bytes` are reserved. The caller gives them back. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#waiting.size > 0 || !this.#fits(bytes)) {
      return this.#waiting.wait(bytes, signal, () => this.#admit());
    }
    this.#taken += bytes;
  }

  give(bytes: number): void {
    this.#taken -= bytes;
    this.#admit();
  }

  #fits(bytes: number): boolean {
    return this.#taken + bytes <= this.total;
  }

  #admit(): void {
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      if (!this.#fits(next)) return;
      this.#taken += next;
      this.#waiting.take()?.resolve();
    }
  }
}

/**
 * Divides the memory for requests among connections. A connection keeps its window for life. Windows
 * are large while there are few connections, but enough is reserved to give each further connection the
 * least window.
 */
export class Windows {
  readonly #total: number;
  readonly #most: number;
  readonly #least: number;
  readonly #connections: number;
  #granted = 0;
  #count = 0;

  constructor(total: number, most: number, connections: number) {
    this.#total = total;
    this.#most = most;
    this.#connections = connections;
    // A quarter of the memory is reserved for connections to come.
    this.#least = Math.max(SHORTEST_MESSAGE, Math.min(most, Math.floor(total / 4 / connections)));
  }

  /** Windows in use: of connections, and of closed ones whose requests still run. */
  get count(): number {
    return this.#count;
  }

  grant(): number {
    const kept = this.#least * Math.max(0, this.#connections - this.#count - 1);
    const spare = this.#total - this.#granted - kept;
    const window = Math.max(this.#least, Math.min(this.#most, Math.floor(spare / 4)));
    this.#granted += window;
    this.#count++;
    return window;
  }

  give(window: number): void {
    this.#granted -= window;
    this.#count--;
  }
}
