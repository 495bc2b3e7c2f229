/** Wrong use of the command: the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A failure that the user can mend, with a message for them. */
export class Failure extends Error {
  override readonly name = "Failure";
}

/** The reason of the signal that ends a command early. */
export class Interruption extends Error {
  override readonly name = "AbortError";
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("The command was interrupted.");
    this.exitCode = exitCode;
  }
}
