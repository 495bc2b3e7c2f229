import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "@jest/globals";

export const BIN = fileURLToPath(new URL("../bin/partd.mjs", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly out: string;
  readonly err: string;
}

export interface Start {
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs the built command in a process of its own, as a user would. */
export function partd(words: readonly string[], start: Start = {}): Promise<Ended> {
  return ended(begin(words, start));
}

export function begin(words: readonly string[], { cwd, input, env }: Start = {}): ChildProcess {
  const child = spawn(process.execPath, [BIN, ...words], {
    cwd,
    env: { ...process.env, NO_COLOR: "", FORCE_COLOR: "", PARTD_TOKEN: "", ...env },
    stdio: "pipe",
  });
  child.stdin?.on("error", () => undefined); // The command may end without reading all of it.
  child.stdin?.end(input ?? "");
  return child;
}

export function ended(child: ChildProcess): Promise<Ended> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (piece: Buffer) => out.push(piece));
  child.stderr?.on("data", (piece: Buffer) => err.push(piece));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const stdout = Buffer.concat(out);
      resolve({ code, signal, stdout, out: String(stdout), err: String(Buffer.concat(err)) });
    });
  });
}

/** A directory that goes when the tests of the file are done. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "partd-cli-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
