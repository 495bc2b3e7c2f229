import { addAbortSignal, type Readable } from "node:stream";
import { Progress } from "./progress.js";

export interface TerminalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Ends waiting for a slow reader. */
  readonly signal: AbortSignal;
}

/** The output of a command: results on standard output, everything else on standard error. */
export class Terminal {
  /** Whether results and notes are for programs: one JSON value a line. */
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #signal: AbortSignal;
  #progress: Progress | undefined;

  constructor({ json, quiet, signal }: TerminalOptions) {
    this.json = json;
    this.quiet = quiet;
    this.#signal = signal;
  }

  /** Columns of the screen for results; 80 if it is not a screen. */
  get width(): number {
    return Math.max(40, process.stdout.columns || 80);
  }

  /** Whether results go to a screen. */
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

  /** A remark for people; --quiet and --json suppress it. */
  note(text: string): void {
    if (!this.quiet && !this.json) this.error(`partd: ${text}`);
  }

  /** Says that the command reads what is typed: an input may have been forgotten. */
  noteTyping(): void {
    if (process.stdin.isTTY)
      this.note("reading from the terminal: end it by Ctrl-D, or name a file");
  }

  /** A line on standard error, whatever the options. */
  error(text: string): void {
    this.#progress?.hide();
    process.stderr.write(`${text}\n`);
  }

  /**
   * Shows the progress of the work until the result is disposed of: as a bar on a terminal, as JSON
   * lines with --json, otherwise not at all.
   */
  progress(label: string): Progress {
    const kind = this.quiet ? "none" : this.json ? "json" : process.stderr.isTTY ? "bar" : "none";
    this.#progress = new Progress(label, kind);
    return this.#progress;
  }

  /** Reports on standard error why the command ends. */
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

/** As https://no-color.org and https://force-color.org define. */
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
    // A reader that has gone never drains the stream; the process ends with EPIPE.
    stream.on("close", end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** Standard input, whose reads the signal ends even while nothing comes. */
export function standardInput(signal: AbortSignal): Readable {
  return addAbortSignal(signal, process.stdin);
}
