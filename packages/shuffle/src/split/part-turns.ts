import type { RecordsPart } from "@partd/records";

/**
 * Hands out parts of the input to threads, and keeps their order: a thread may scan a part at any time,
 * but reserves its places in the files in the part's turn. All threads share the state.
 */
export class PartTurns {
  readonly #state: Int32Array;
  /** Where in its file the last passed part ended. */
  readonly #reached: Float64Array;
  readonly #news: (() => Promise<void>) | undefined;

  /**
   * @param state from {@link PartTurns.state}.
   * @param news resolves when another thread may have passed. Without it, waiting blocks the thread.
   */
  constructor(state: Int32Array, news?: () => Promise<void>) {
    this.#state = state;
    this.#reached = new Float64Array(state.buffer, 8, 1);
    this.#news = news;
  }

  static state(): Int32Array {
    return new Int32Array(new SharedArrayBuffer(16));
  }

  /** Takes the next part. @returns its number. */
  take(): number {
    return Atomics.add(this.#state, NEXT, 1);
  }

  /** Waits for a part's turn. @returns whether the run goes on. */
  async reached(part: number): Promise<boolean> {
    for (;;) {
      const turn = Atomics.load(this.#state, TURN);
      if (turn >= part) return turn !== STOPPED;
      if (this.#news) await this.#news();
      else Atomics.wait(this.#state, TURN, turn);
    }
  }

  /** Where the part begins whose turn it is. */
  startOf({ start, isGuess }: RecordsPart): number {
    return isGuess ? this.#reached[0]! : start;
  }

  /** Ends the turn of a part, which ended at `reached` in its file. */
  pass(part: number, reached: number): void {
    this.#reached[0] = reached;
    // A stopped run stays stopped.
    Atomics.compareExchange(this.#state, TURN, part, part + 1);
    Atomics.notify(this.#state, TURN);
  }

  /** Ends all waiting. */
  stop(): void {
    Atomics.store(this.#state, TURN, STOPPED);
    Atomics.notify(this.#state, TURN);
  }
}

/** The index of the next part's number, and of the number of the part whose turn it is. */
const NEXT = 0;
const TURN = 1;
/** The turn in a run that has stopped. */
const STOPPED = 2 ** 31 - 1;
