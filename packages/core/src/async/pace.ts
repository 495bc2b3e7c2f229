/**
 * Keeps a long loop from blocking the event loop: `if (pace.due) await pace.rest()` in each round
 * lets other work run once the loop has held the thread for a while.
 */
export class Pace {
  #since = performance.now();
  #rounds = 0;
  #resting: Promise<void> | undefined;

  /** Whether it is time to rest. The clock is read in every 32nd round only. */
  get due(): boolean {
    return (++this.#rounds & 31) === 0 && this.isOver;
  }

  /** The same, with a reading of the clock each time: for rounds that may be long. */
  get isOver(): boolean {
    return this.elapsed > SLICE_MS;
  }

  /** Milliseconds since the last rest. */
  get elapsed(): number {
    return performance.now() - this.#since;
  }

  /**
   * Resolves in the next turn of the event loop. Loops that share a pace rest together and share
   * the time slice that follows.
   */
  rest(): Promise<void> {
    this.#resting ??= new Promise<void>(nextTurn).then(() => {
      this.#since = performance.now();
      this.#resting = undefined;
    });
    return this.#resting;
  }
}

const SLICE_MS = 10;

/** `setImmediate` where there is one: a timer costs a millisecond. */
const nextTurn: (callback: () => void) => void =
  (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate ??
  ((callback) => setTimeout(callback));
