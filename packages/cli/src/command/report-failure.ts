import { basename, dirname } from "node:path";
import type { PartdError } from "@partd/core";
import type { Terminal } from "../terminal/terminal.js";
import { ExitCode, Failure, Interruption, UsageError } from "./failure.js";
import { showBytes } from "./quantity.js";

/** Tells the user what went wrong, in a line or two and without a stack. @returns the exit code. */
export function reportFailure(error: unknown, terminal: Terminal, signal: AbortSignal): number {
  if (signal.aborted && isAbort(error, signal)) {
    const code = (signal.reason as Interruption | undefined)?.exitCode ?? ExitCode.INTERRUPTED;
    const message = ENDINGS.get(code) ?? "interrupted";
    if (terminal.json) tell(terminal, { code: "INTERRUPTED", message }, code);
    else terminal.note(message);
    return code;
  }
  if (error instanceof Interruption) {
    // Ctrl-C at a question needs no message.
    if (terminal.json)
      tell(terminal, { code: "INTERRUPTED", message: "interrupted" }, error.exitCode);
    return error.exitCode;
  }
  const code = error instanceof UsageError || isNoAddress(error) ? ExitCode.USAGE : ExitCode.FAILED;
  if (terminal.json) {
    tell(terminal, describe(error), code);
  } else {
    terminal.fail(describe(error).message);
  }
  if (process.env.PARTD_DEBUG && error instanceof Error) terminal.error(String(error.stack));
  return code;
}

const ENDINGS: ReadonlyMap<number, string> = new Map([
  [ExitCode.HUNG_UP, "ended by SIGHUP"],
  [ExitCode.TERMINATED, "ended by SIGTERM"],
]);

interface Description {
  readonly code: string;
  readonly message: string;
}

/** The error as JSON, for programs. */
function tell(terminal: Terminal, description: Description, exitCode: number): void {
  terminal.error(JSON.stringify({ error: { ...description, exitCode } }));
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause === signal.reason || cause.name === "AbortError") return true;
  }
  return false;
}

function describe(error: unknown): Description {
  if (isPartdError(error)) return { code: error.code, message: printable(inWords(error.message)) };
  if (error instanceof UsageError || error instanceof Failure) {
    return {
      code: error instanceof UsageError ? "USAGE" : "FAILED",
      message: printable(error.message),
    };
  }
  const { code, message, path } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" && message.includes("uv_cwd")) {
    return { code, message: "the current directory has been removed; cd to another" };
  }
  if (
    error instanceof RangeError &&
    /WebAssembly.*(?:out of memory|could not allocate)/i.test(message)
  ) {
    return {
      code: "ENOMEM",
      message: `the system gives this process no more memory; raise its limit, such as that of ulimit -v (${message})`,
    };
  }
  if (typeof code === "string" && SYSTEM[code]) {
    const isHidden = path !== undefined && /^\..*\.(?:aside|partial)$/.test(basename(path));
    const folder = dirname(path ?? "");
    const fault = code === "ENOENT" ? `there is no ${folder}` : `nothing can be made in ${folder}`;
    const where = isHidden ? fault : message;
    return { code, message: `${SYSTEM[code]} (${printable(where)})` };
  }
  return {
    code: typeof code === "string" ? code : "FAILED",
    message: error instanceof Error ? printable(message) : printable(String(error)),
  };
}

/** The same as in @partd/core. Importing that would take a third of the start-up time. */
function isPartdError(error: unknown): error is PartdError {
  return error instanceof Error && error.name === "PartdError";
}

function isNoAddress(error: unknown): boolean {
  return isPartdError(error) && / is not an address: |^"ipc:.*" names no file/.test(error.message);
}

/** Replaces what the libraries tell programs by what the command's user can do. */
function inWords(message: string): string {
  return ADVICE.reduce((text, { pattern, words }) => text.replace(pattern, words), message);
}

const ADVICE: readonly { pattern: RegExp; words: (...match: string[]) => string }[] = [
  {
    pattern: /new Client\(address, \{ token \}\)/,
    words: () => "set PARTD_TOKEN, or give --token-file",
  },
  {
    pattern: /((?:unable to (?:verify|get)|self[- ]signed|certificate).*?)\.$/,
    words: (_, fault) => `${fault}; --ca FILE names the authority to trust.`,
  },
  { pattern: /Is the server running there\?$/, words: () => "Is partd serve running there?" },
  { pattern: /\bverify\(\) lists/, words: () => "partd verify lists" },
  {
    pattern: /a store opened with \{ salvage: true \} reads (.*), and its compact\(\) makes .*?\./,
    words: (_, what) => `partd compact --salvage makes a whole data set of ${what}.`,
  },
  {
    pattern: /open it with \{ salvage: true \}, which (.*), and compact\(\) it\./,
    words: (_, what) => `run partd compact --salvage, which ${what}.`,
  },
  {
    pattern: /open it with \{ salvage: true \}, and compact\(\) it, which/,
    words: () => "run partd compact --salvage, which",
  },
  { pattern: /\{ salvage: true \} reads/, words: () => "partd compact --salvage keeps" },
  {
    pattern: /Use a folder on a disk with more space, or raise memory\.$/,
    words: () => "Choose another disk with --tmp, or raise --memory.",
  },
  {
    pattern: /Use a folder on a disk with more space\.$/,
    words: () => "Choose another disk with --out.",
  },
  {
    pattern: /; use another folder\.$/,
    words: () => "; choose another disk with --out.",
  },
  {
    pattern: /; use another folder, or raise memory\.$/,
    words: () => "; choose another disk with --tmp, or raise --memory.",
  },
  {
    pattern:
      /^(Cannot (?:make|spill to) .*): the process may not write there; choose another folder, or check its permissions\.$/,
    words: (_, what) =>
      `${what}: the process may not write there, and not all fits in memory; choose another folder with --tmp, or raise --memory.`,
  },
  {
    pattern: /Set dir to another folder, or state the types of all columns: .*$/,
    words: () => "Choose another disk with --tmp.",
  },
  {
    pattern:
      /^About (\d+) bytes have to be spilled, and (\d+) are free in (.*): set dir to .*, or raise memory\.$/,
    words: (_, needed, free, folder) =>
      `about ${showBytes(Number(needed))} of temporary data are needed, and ${folder} has ${showBytes(Number(free))} free; choose another disk with --tmp, or raise --memory`,
  },
];

const SYSTEM: { readonly [code: string]: string } = {
  __proto__: null as never,
  ENOSPC: "the disk is full; free some space, or choose another disk with --tmp or --out",
  EDQUOT: "the disk quota is used up; free some space, or choose another disk with --tmp or --out",
  EMFILE: "too many files are open; raise the limit with ulimit -n",
  EFBIG:
    "the file would be larger than the file system or a limit (ulimit -f) allows; choose another disk with --tmp or --out",
  ENAMETOOLONG: "a name is longer than the file system takes; choose a shorter one",
  ELOOP: "symbolic links lead in a circle",
  // A file that was never there has an error of its own.
  ENOENT: "a file or directory was removed while this ran; see that it is there, and run it again",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
};

/**
 * Escapes control characters as in JSON: messages may quote data, which could move the terminal's
 * cursor. It also escapes invisible characters, such as a byte order mark in the middle.
 */
function printable(text: string): string {
  return text.replace(
    /(?!\n)[\p{Cc}\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
