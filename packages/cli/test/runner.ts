import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What comes of a call: no answer is a crash. */
export type End = { readonly code: number; readonly err: string } | { readonly died: string };

/** One process for all calls, as long as none ends it: most of the time of each would go into starting up. */
export class Runner {
  readonly #cwd: string;
  #child: ChildProcess | undefined;

  constructor(cwd: string) {
    this.#cwd = cwd;
  }

  async run(words: readonly string[]): Promise<End> {
    const child = this.#child ?? fork(MANY, [], { cwd: this.#cwd, silent: true, env: ENV });
    this.#child = child;
    const end = await new Promise<End>((resolve) => {
      child.once("message", resolve as (message: unknown) => void);
      child.once("exit", (code, signal) => resolve({ died: `${code ?? signal}` }));
      child.send(words);
    });
    child.removeAllListeners();
    if ("died" in end) this.#child = undefined;
    return end;
  }

  close(): void {
    this.#child?.disconnect();
  }
}

const MANY = fileURLToPath(new URL("./many.mjs", import.meta.url));
const ENV = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined };
