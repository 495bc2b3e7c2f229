import { isPartdError, PartdError } from "@partd/core";

/** A boxed error, because a store may throw anything, also `undefined`. */
export interface Failure {
  readonly error: unknown;
}

/** Failures of the slow store that have not been retried, or not been reported to a caller. */
export class SpillFailures {
  #last: Failure | undefined;
  /** A failure that leaves it unknown whether the slow store has the bytes. */
  #uncertain: unknown;

  /** Why the last batch failed. Until `retry`, nothing is spilled unless a caller asks. */
  get last(): Failure | undefined {
    return this.#last;
  }

  /** Notes that a batch has arrived or failed. @param isReported whether a caller gets the error. */
  landed(failure: Failure | undefined, isReported: boolean): void {
    this.#last = failure;
    if (failure && !isReported) this.unreported(failure);
  }

  /** Notes that no caller gets the error. */
  unreported({ error }: Failure): void {
    if (isPartdError(error, "ERR_PARTD_CONNECTION")) this.#uncertain = error;
  }

  /** Notes that waiting callers get the last failure's error. */
  reported(): void {
    if (this.#last?.error === this.#uncertain) this.#uncertain = undefined;
  }

  /** Notes that what failed is tried again. */
  retry(): void {
    this.#last = undefined;
  }

  /** Notes that all data was removed, including any duplicates. */
  clear(): void {
    this.#uncertain = undefined;
  }

  /** @throws `ERR_PARTD_CONNECTION`, once, if bytes may be in the slow store twice. */
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
