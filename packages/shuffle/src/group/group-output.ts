import { ItemIterator } from "@partd/core/author";
import { Output } from "../run/output.js";
import type { StoredGroup } from "./group.js";

/** Groups one at a time: asking for the next one ends the current one. */
export class GroupOutput<T, G extends StoredGroup<unknown, unknown> & T> extends Output<T> {
  readonly #generate: () => AsyncGenerator<readonly G[]>;

  constructor(generate: () => AsyncGenerator<readonly G[]>, signal: AbortSignal | undefined) {
    super(() => ended(generate()), signal);
    this.#generate = generate;
  }

  override [Symbol.asyncIterator](): AsyncIterator<T> {
    return new ItemIterator<G>(this.begin(this.#generate), {
      check: () => this.signal?.throwIfAborted(),
      leave: (group) => group.end(),
    });
  }
}

async function* ended<G extends StoredGroup<unknown, unknown>>(
  batches: AsyncGenerator<readonly G[]>,
): AsyncGenerator<readonly G[]> {
  for await (const batch of batches) {
    yield batch;
    for (const group of batch) group.end();
  }
}
