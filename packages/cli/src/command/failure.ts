import type { PartdError } from "@partd/core";
import type { Terminal } from "../terminal/terminal.js";
import { ExitCode } from "./exit-code.js";

/** Wrong use of the command: the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A failure that is the user's to mend, with a message made for them. */
export class Failure extends Error {
  override readonly name = "Failure";
}

/** Tells the user what went wrong, in a line or two and never a stack, and gives the exit code. */
export function report(error: unknown, terminal: Terminal, signal: AbortSignal): number {
  if (signal.aborted && isAbort(error, signal)) {
    const code = (signal.reason as Interruption | undefined)?.exitCode ?? ExitCode.INTERRUPTED;
    terminal.note(code === ExitCode.TERMINATED ? "ended by SIGTERM" : "interrupted");
    return code;
  }
  const code = error instanceof UsageError ? ExitCode.USAGE : ExitCode.FAILED;
  if (terminal.json) {
    terminal.error(JSON.stringify({ error: { ...describe(error), exitCode: code } }));
  } else {
    terminal.fail(describe(error).message);
  }
  if (process.env.PARTD_DEBUG && error instanceof Error) terminal.error(String(error.stack));
  return code;
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

function isAbort(error: unknown, signal: AbortSignal): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause === signal.reason || cause.name === "AbortError") return true;
  }
  return false;
}

function describe(error: unknown): { code: string; message: string } {
  if (isPartdError(error)) return { code: error.code, message: printable(inWords(error.message)) };
  if (error instanceof UsageError || error instanceof Failure) {
    return {
      code: error instanceof UsageError ? "USAGE" : "FAILED",
      message: printable(error.message),
    };
  }
  const { code, message } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && SYSTEM[code]) {
    return { code, message: `${SYSTEM[code]} (${printable(message)})` };
  }
  return {
    code: typeof code === "string" ? code : "FAILED",
    message: error instanceof Error ? printable(message) : printable(String(error)),
  };
}

/** As in @partd/core, which is not loaded for it: that would be a third of the time to start up. */
function isPartdError(error: unknown): error is PartdError {
  return error instanceof Error && error.name === "PartdError";
}

/** What the libraries advise to programs, as options of the command. */
function inWords(message: string): string {
  return ADVICE.reduce((text, [pattern, words]) => text.replace(pattern, words), message);
}

const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/new Client\(address, \{ token \}\)/, "set PARTD_TOKEN, or give --token-file"],
  [
    /((?:unable to (?:verify|get)|self[- ]signed|certificate).*?)\.$/,
    "$1; --ca FILE names the authority to trust.",
  ],
];

const SYSTEM: { readonly [code: string]: string } = {
  __proto__: null as never,
  ENOSPC: "the disk is full; free some space, or choose another disk with --tmp or --out",
  EDQUOT: "the disk quota is used up; free some space, or choose another disk with --tmp or --out",
  EMFILE: "too many files are open; raise the limit with ulimit -n",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
};

/** Messages may quote data: what would move a terminal's cursor is shown as it is written in JSON. */
function printable(text: string): string {
  return text.replace(
    /(?!\n)[\p{Cc}\u2028\u2029\u202a-\u202e]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
