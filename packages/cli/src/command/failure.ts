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

/** Exit codes of the command. They are documented in `--help`, the man page and docs/cli.md. */
export const ExitCode = {
  DONE: 0,
  FAILED: 1,
  USAGE: 2,
  REJECTED: 3,
  HUNG_UP: 129,
  INTERRUPTED: 130,
  TERMINATED: 143,
} as const;

export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [ExitCode.DONE, "done"],
  [ExitCode.FAILED, "failed: the message says why, and nothing is half written"],
  [ExitCode.USAGE, "wrong use: an option, a field, an input or a data set that is not there"],
  [ExitCode.REJECTED, "done, but records were set aside by --reject"],
  [ExitCode.HUNG_UP, "ended by SIGHUP: its terminal was closed"],
  [ExitCode.INTERRUPTED, "interrupted by Ctrl-C"],
  [ExitCode.TERMINATED, "ended by SIGTERM (serve flushes its store and ends with 0)"],
];
