import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** `writer.mjs`, run as a process of its own. */
export class Child {
  readonly process: ChildProcess;
  /** Lines that it has written. */
  readonly lines: string[] = [];
  readonly #ended: Promise<unknown>;
  #wake: (() => void) | undefined;
  #errors = "";

  constructor(args: readonly (string | number | object)[], shell?: string) {
    const words = [
      process.execPath,
      fileURLToPath(new URL("./writer.mjs", import.meta.url)),
      ...args.map((arg) => (typeof arg === "object" ? JSON.stringify(arg) : String(arg))),
    ];
    this.process = shell
      ? spawn("bash", ["--norc", "-c", `${shell}; exec "$@"`, "bash", ...words])
      : spawn(words[0] as string, words.slice(1));
    const lines = createInterface({ input: this.process.stdout as NodeJS.ReadableStream });
    lines.on("line", (line) => {
      this.lines.push(line);
      this.#wake?.();
    });
    this.process.stderr?.on("data", (data) => {
      this.#errors += data;
    });
    this.#ended = Promise.all([once(this.process, "exit"), once(lines, "close")]).then(() =>
      this.#wake?.(),
    );
  }

  /** Waits until it has written so many lines, or ended. */
  async told(count: number): Promise<void> {
    while (this.lines.length < count && this.process.exitCode === null) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Sends a line and waits for its answer. */
  async ask(line: string): Promise<void> {
    this.process.stdin?.write(`${line}\n`);
    await this.told(this.lines.length + 1);
  }

  /** Waits for its end, which has to be a good one. */
  async end(): Promise<void> {
    this.process.stdin?.end();
    await this.#ended;
    if (this.process.exitCode !== 0) throw new Error(`The child failed: ${this.#errors}`);
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.#ended;
  }
}
