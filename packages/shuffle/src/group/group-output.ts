import { ItemIterator } from "@partd/core/author";
import { Output, type Start } from "../run/output.js";
import type { StoredGroup } from "./group.js";

/** Groups one at a time: asking for the next one ends the current one. */
export class GroupOutput<T, G extends StoredGroup<unknown, unknown> & T> extends Output<T> {
  readonly #start: Start<readonly G[]>;

  constructor(start: Start<readonly G[]>, signal: AbortSignal | undefined) {
    const ending: Start<readonly G[]> = (signal) => ended(start(signal));
    super(ending, signal);
    this.#start = ending;
  }

  override [Symbol.asyncIterator](): AsyncIterator<T> {
    return new ItemIterator<G>(this.begin(this.#start), {
      check: () => this.signal.throwIfAborted(),
      leave: (group) => group.end(),
    });
  }
}

async function* ended<G extends StoredGroup<unknown, unknown>>(
  batches: AsyncGenerator<readonly G[]>,
): AsyncGenerator<readonly G[]> {
  for await (const batch of batches) {
    try {
      yield batch;
    } finally {
      for (const group of batch) group.end();
    }
  }
}
