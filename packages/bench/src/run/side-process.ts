import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { debianPython } from "./debian-python.js";
import type { PythonSide } from "./suite.js";

/** What one round of one side took. */
export interface Measure {
  /** Of the timed part. */
  readonly seconds: number;
  /** Of CPU, of the side's process with its threads, and of what it started if the side says so. */
  readonly cpuSeconds: number;
  /** The part of all cores' time in which the machine was not idle, from 0 to 1. */
  readonly busy: number;
  /** What else the side says of it. */
  readonly figures?: Readonly<Record<string, string>> | undefined;
}

/** A process that does one side's work, a round each time it is told to. */
export class SideProcess {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  /** Rejects when the process ends, which it should not do within a round. */
  readonly #gone: Promise<never>;

  static node(suite: string, work: number, side: string): SideProcess {
    const script = fileURLToPath(new URL("./side.js", import.meta.url));
    return new SideProcess(process.execPath, [script, suite, String(work), side]);
  }

  static python(side: PythonSide): SideProcess {
    const script = fileURLToPath(new URL("../../python/side.py", import.meta.url));
    return new SideProcess(debianPython(), [
      script,
      side.script,
      side.work,
      JSON.stringify(side.arguments),
    ]);
  }

  private constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#gone = once(this.#child, "exit").then(() => {
      throw new Error(`${command} ${args.join(" ")} ended before its round did`);
    });
    this.#gone.catch(() => {});
  }

  async round(directory: string): Promise<Measure> {
    const answer = once(this.#lines, "line");
    this.#child.stdin?.write(`${directory}\n`);
    const [line] = (await Promise.race([answer, this.#gone])) as [string];
    return JSON.parse(line) as Measure;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.stdin?.end();
    await exit;
  }
}
