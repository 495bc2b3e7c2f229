import { unlessAborted } from "@partd/core/author";

/** Work that its caller has given up, and that goes on: what comes next waits for it. */
export class Unfinished {
  #work: Promise<void> | undefined;

  /** Resolves, and never rejects, when the work ends, if there is any. */
  get work(): Promise<void> | undefined {
    return this.#work;
  }

  /** What `work` answers, unless the signal is aborted first: then it is left to itself. */
  async wait<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    work.then(end, end);
    try {
      return await unlessAborted(work, signal);
    } catch (error) {
      if (!ended) this.leave(work);
      throw error;
    }
  }

  /** Leaves work to itself. */
  leave(work: Promise<unknown>): void {
    const end = () => {
      if (this.#work === ended) this.#work = undefined;
    };
    const ended = work.then(end, end);
    this.#work = ended;
  }

  /** Resolves when there is none. */
  async over(signal: AbortSignal | undefined): Promise<void> {
    while (this.#work) await unlessAborted(this.#work, signal);
  }
}
