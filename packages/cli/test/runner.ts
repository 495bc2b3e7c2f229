import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll } from "@jest/globals";
import type { Ended } from "./partd.js";

/** What comes of a call: no answer is a crash. */
export type End = Ended | { readonly died: string };

/**
 * One process for all calls, as long as none ends it: most of the time of each would go into starting up. It ends with the
 * tests of the file.
 */
export class Runner {
  readonly #cwd: string;
  #child: ChildProcess | undefined;

  constructor(cwd: string) {
    this.#cwd = cwd;
    afterAll(() => this.#child?.disconnect());
  }

  /** @throws if the call ended the process. */
  async run(words: readonly string[], input?: string | Uint8Array): Promise<Ended> {
    const end = await this.try(words, input);
    if ("died" in end) throw new Error(`partd ${words.join(" ")} died: ${end.died}`);
    return end;
  }

  /** Runs it on a terminal. */
  async type(words: readonly string[], typed: string): Promise<End> {
    return this.try(words, "", typed);
  }

  async try(
    words: readonly string[],
    input: string | Uint8Array = "",
    typed?: string,
  ): Promise<End> {
    this.#child ??= fork(MANY, [], {
      cwd: this.#cwd,
      silent: true,
      serialization: "advanced",
      env: ENV,
    });
    const child = this.#child;
    const end = await new Promise<End>((resolve) => {
      child.once("message", ({ code, out, err }: Answer) => {
        const stdout = Buffer.from(out);
        resolve({ code, signal: null, stdout, out: String(stdout), err: String(Buffer.from(err)) });
      });
      child.once("exit", (code, signal) => resolve({ died: `${code ?? signal}` }));
      child.send({ words, input: Buffer.from(input), typed });
    });
    child.removeAllListeners();
    if ("died" in end) this.#child = undefined;
    return end;
  }
}

interface Answer {
  readonly code: number;
  readonly out: Uint8Array;
  readonly err: Uint8Array;
}

const MANY = fileURLToPath(new URL("./many.mjs", import.meta.url));
const ENV = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, PARTD_TOKEN: undefined };
