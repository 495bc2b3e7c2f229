import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";

/** Directories of this test file, gone at its end. */
export function directories(): { next(): string; copyOf(directory: string): string } {
  const root = mkdtempSync(join(tmpdir(), "log-test-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  let count = 0;
  const next = () => join(root, String(count++));
  return {
    next,
    copyOf(directory) {
      const copy = next();
      cpSync(directory, copy, { recursive: true });
      return copy;
    },
  };
}

/** The files of a data set that end so, sorted. */
export function filesOf(directory: string, ending: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(directory, name));
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

export function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}
