import { addAbortSignal, type Readable } from "node:stream";
import { Progress } from "./progress.js";

export interface TerminalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Ends the wait for a reader. */
  readonly signal: AbortSignal;
}

/** Where a command speaks: results on standard output, everything else on standard error. */
export class Terminal {
  /** Whether results and notes are for machines, one JSON value a line. */
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #signal: AbortSignal;
  #progress: Progress | undefined;

  constructor({ json, quiet, signal }: TerminalOptions) {
    this.json = json;
    this.quiet = quiet;
    this.#signal = signal;
  }

  /** Columns of the screen that results go to; 80 where that is none. */
  get width(): number {
    return Math.max(40, process.stdout.columns || 80);
  }

  /** Whether a person sees the results as they come. */
  get isScreen(): boolean {
    return process.stdout.isTTY === true;
  }

  /** Writes a result, and waits while the reader is behind. */
  async write(data: string | Uint8Array): Promise<void> {
    this.#progress?.hide();
    if (!process.stdout.write(data)) await drained(process.stdout, this.#signal);
  }

  async line(text: string): Promise<void> {
    await this.write(`${text}\n`);
  }

  /** A remark for people, which --quiet and --json leave out. */
  note(text: string): void {
    if (!this.quiet && !this.json) this.error(`partd: ${text}`);
  }

  /** A line on standard error, whatever the options. */
  error(text: string): void {
    this.#progress?.hide();
    process.stderr.write(`${text}\n`);
  }

  /**
   * Shows how far the work is, until the progress is disposed of: as a bar on a terminal, as JSON
   * lines with --json, else not at all.
   */
  progress(label: string): Progress {
    const kind = this.quiet ? "none" : this.json ? "json" : process.stderr.isTTY ? "bar" : "none";
    this.#progress = new Progress(label, kind);
    return this.#progress;
  }

  /** Says on standard error why the command ends. */
  fail(message: string): void {
    this.error(`${this.#styled(RED, "partd:", process.stderr)} ${message}`);
  }

  bold(text: string): string {
    return this.#styled(BOLD, text);
  }

  red(text: string): string {
    return this.#styled(RED, text);
  }

  #styled(code: number, text: string, stream: NodeJS.WriteStream = process.stdout): string {
    if (this.json || !hasColours(stream)) return text;
    return `\u001b[${code}m${text}\u001b[0m`;
  }
}

/** By https://no-color.org and https://force-color.org. */
function hasColours(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR) return false;
  return FORCE_COLOR ? FORCE_COLOR !== "0" : stream.isTTY === true && TERM !== "dumb";
}

const BOLD = 1;
const RED = 31;

function drained(stream: NodeJS.WriteStream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      stream.off("drain", end);
      stream.off("close", end);
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    stream.on("drain", end);
    // A reader that went away never drains it: the process ends by EPIPE.
    stream.on("close", end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** Standard input, which the signal ends also while nothing comes. */
export function standardInput(signal: AbortSignal): Readable {
  return addAbortSignal(signal, process.stdin);
}
