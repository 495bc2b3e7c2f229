import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A program of `programs/` that runs as a process of its own and tells lines. */
export class Program {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  #waiting: (() => void)[] = [];
  #over = false;
  #errors = "";

  constructor(command: readonly string[]) {
    const [file, ...args] = command as [string, ...string[]];
    this.process = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
    running.add(this.process);
    this.process.stdin!.on("error", () => {}); // It may be gone.
    this.process.stderr!.on("data", (text) => {
      this.#errors += text;
    });
    const output = createInterface({ input: this.process.stdout! });
    output.on("line", (line) => {
      this.lines.push(line);
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      this.process.on("close", (code, signal) => {
        running.delete(this.process);
        this.#over = true;
        this.#wake();
        resolve({ code, signal });
      });
    });
  }

  /** Resolves with the first line that begins so, now or later. */
  async line(beginning: string): Promise<string> {
    for (;;) {
      const line = this.lines.find((one) => one.startsWith(beginning));
      if (line !== undefined) return line;
      if (this.#over) throw new Error(`ended before "${beginning}": ${this.output}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  say(text: string): void {
    this.process.stdin!.write(`${text}\n`);
  }

  /** Resolves when it has ended by itself. */
  async end(): Promise<void> {
    const { code, signal } = await this.ended;
    if (code !== 0) throw new Error(`ended with ${code ?? signal}: ${this.output}`);
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  #wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  get output(): string {
    return `${this.lines.slice(-20).join("\n")}\n${this.#errors}`;
  }

  /** The numbers that it has told. */
  get numbers(): Set<number> {
    return new Set(this.lines.filter((line) => /^\d+$/.test(line)).map(Number));
  }
}

export function program(name: string, ...args: (string | number)[]): Program {
  return new Program([process.execPath, pathOf(name), ...args.map(String)]);
}

/** The same under limits of the shell, as in `ulimit -n 64`. */
export function limitedProgram(limit: string, name: string, ...args: (string | number)[]): Program {
  return limitedProgramUnder([], limit, name, ...args);
}

/** The same by way of another command, as in `unshare --mount`. */
export function limitedProgramUnder(
  command: readonly string[],
  limit: string,
  name: string,
  ...args: (string | number)[]
): Program {
  return new Program([
    ...command,
    "/bin/bash",
    "-c",
    `${limit} && exec "$@"`,
    "bash",
    process.execPath,
    pathOf(name),
    ...args.map(String),
  ]);
}

/** What a test that failed has left running. */
const running = new Set<ChildProcess>();

/** New directories under the system's temporary one, and an end to them and to all programs. */
export function directories(): { make: () => string; clean: () => void } {
  const made: string[] = [];
  return {
    make: () => {
      const path = mkdtempSync(join(tmpdir(), "partd-test-"));
      made.push(path);
      return path;
    },
    clean: () => {
      for (const process of running) process.kill("SIGKILL");
      for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
    },
  };
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`programs/${name}.mjs`, import.meta.url));
}
