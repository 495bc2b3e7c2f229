/**
 * Hands out parts to threads, and limits how many unread bytes each thread holds. All threads share the
 * state.
 */
export class LineTurns {
  readonly state: Int32Array;

  constructor(state: Int32Array) {
    this.state = state;
  }

  static state(threads: number): Int32Array {
    return new Int32Array(new SharedArrayBuffer(4 * (HELD + threads)));
  }

  /** Takes the next part. @returns its number. */
  take(): number {
    return Atomics.add(this.state, NEXT, 1);
  }

  /** Counts bytes that a thread has made, and blocks the thread while there are too many. */
  hold(thread: number, bytes: number): void {
    for (;;) {
      const held = Atomics.load(this.state, HELD + thread);
      if (held <= MOST_HELD || Atomics.load(this.state, NEXT) >= STOPPED) break;
      Atomics.wait(this.state, HELD + thread, held);
    }
    Atomics.add(this.state, HELD + thread, bytes);
  }

  release(thread: number, bytes: number): void {
    Atomics.sub(this.state, HELD + thread, bytes);
    Atomics.notify(this.state, HELD + thread);
  }

  /** Hands out no more parts, and blocks no thread any longer. */
  stop(): void {
    Atomics.store(this.state, NEXT, STOPPED);
    for (let held = HELD; held < this.state.length; held++) {
      // A changed value, so that no thread begins to wait.
      Atomics.store(this.state, held, 0);
      Atomics.notify(this.state, held);
    }
  }
}

/** The index of the next part's number. */
const NEXT = 0;
/** From this index on: the bytes that each thread holds. */
const HELD = 1;
/** The next part's number in a run that has stopped. */
const STOPPED = 2 ** 30;
/** The most bytes of joined lines that a thread may be ahead. */
export const MOST_HELD = 8 << 20;
