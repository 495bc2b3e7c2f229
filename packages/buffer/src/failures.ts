import { isPartdError, PartdError } from "@partd/core";

/** An error in a box: what a store throws may be anything, also `undefined`. */
export interface Failure {
  readonly error: unknown;
}

/** What the slow store has refused, until it is tried again, and until a caller has been told. */
export class SpillFailures {
  #last: Failure | undefined;
  /** A failure after which no one knows whether the slow store has the bytes. */
  #uncertain: unknown;

  /** Why the last batch failed: nothing is spilled unasked until `retry`. */
  get last(): Failure | undefined {
    return this.#last;
  }

  /** A batch has arrived, or has failed; `isReported` if a caller gets that error. */
  landed(failure: Failure | undefined, isReported: boolean): void {
    this.#last = failure;
    if (failure && !isReported) this.unreported(failure);
  }

  /** No caller gets the error of that failure. */
  unreported({ error }: Failure): void {
    if (isPartdError(error, "ERR_PARTD_CONNECTION")) this.#uncertain = error;
  }

  /** Callers that wait get the last failure's error. */
  reported(): void {
    if (this.#last?.error === this.#uncertain) this.#uncertain = undefined;
  }

  /** What failed is tried again. */
  retry(): void {
    this.#last = undefined;
  }

  /** All was removed, and with it what may have been there twice. */
  clear(): void {
    this.#uncertain = undefined;
  }

  /** @throws `ERR_PARTD_CONNECTION`, once, if bytes that have arrived may be there twice. */
  checkCertain(): void {
    const cause = this.#uncertain;
    if (cause === undefined) return;
    this.#uncertain = undefined;
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      "Everything has reached the slow store, but an earlier attempt failed without telling whether its bytes had arrived: some may be there twice.",
      { cause },
    );
  }
}
