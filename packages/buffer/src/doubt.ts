import { isPartdError, PartdError } from "@partd/core";

/** A failure after which no one knows whether the slow store has the bytes, until someone is told. */
export class Doubt {
  #error: unknown;

  /** Keeps the error if it is of that kind. */
  note(error: unknown): void {
    if (isPartdError(error, "ERR_PARTD_CONNECTION")) this.#error = error;
  }

  /** Someone was told of that error. */
  told(error: unknown): void {
    if (error === this.#error) this.#error = undefined;
  }

  forget(): void {
    this.#error = undefined;
  }

  /** @throws `ERR_PARTD_CONNECTION` if there is one, which is forgotten then. */
  tell(): void {
    const cause = this.#error;
    if (cause === undefined) return;
    this.#error = undefined;
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      "Everything has reached the slow store, but an earlier attempt failed without telling whether its bytes had arrived: some may be there twice.",
      { cause },
    );
  }
}
