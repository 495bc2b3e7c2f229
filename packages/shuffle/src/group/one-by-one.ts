import type { StoredGroup } from "./group.js";

/** Ends each group when the next one is asked for. */
export async function* oneByOne<G extends StoredGroup<unknown, unknown>>(
  batches: AsyncGenerator<readonly G[]>,
): AsyncGenerator<readonly G[]> {
  for await (const batch of batches) {
    for (const group of batch) {
      yield [group];
      group.end();
    }
  }
}
