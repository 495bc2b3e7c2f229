import { openPart, type Records, type RecordsPart } from "@partd/records";

/**
 * Opens parts one after the other; a part whose start was guessed begins where the part before has
 * ended.
 */
export class PartSequence {
  /** Where in its file the last part ended; `undefined` before the first. */
  reached: number | undefined;

  *open<R>(parts: Iterable<RecordsPart>): Generator<Records<R>> {
    for (const part of parts) {
      const records = openPart<R>({ ...part, start: this.startOf(part) });
      yield records;
      this.reached = records.reached;
    }
  }

  startOf({ start, isGuess }: RecordsPart): number {
    return isGuess ? (this.reached ?? start) : start;
  }
}
