import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { PartdError } from "@partd/core";
import { threadOptions } from "@partd/core/author";

/**
 * The program of a thread, which is a file of its own; `undefined` where a bundler has left it out, or
 * where Node's permissions forbid threads, so that one thread does everything.
 *
 * @param locate makes the URL. In a bundle of CommonJS modules there is none, and it throws.
 * @throws `ERR_PARTD_VALUE` in these cases if more than one thread was asked for.
 */
export function threadProgram(locate: () => URL, asked: number | undefined): URL | undefined {
  if (process.permission?.has("worker") === false) {
    if (asked === undefined || asked <= 1) return undefined;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `threads: ${asked} needs threads, which the permissions of this process forbid. Ask for threads: 1, or start node with --allow-worker.`,
    );
  }
  let name = "the program of its threads";
  try {
    const program = locate();
    if (existsSync(program)) return program;
    name = program.pathname;
  } catch {}
  if (asked === undefined || asked <= 1) return undefined;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `threads: ${asked} needs ${name}, which a bundler has left out. Ask for threads: 1, or leave @partd/shuffle out of the bundle ("external").`,
  );
}

export function startThread(program: URL): Worker {
  return new Worker(program, threadOptions());
}
