import fs from "node:fs";

/**
 * Makes calls of `node:fs` fail, or wait, in this process: all that go through the module's default
 * export. What is to meet the faults has to be imported after this, by `await import(...)`.
 */
export const faults: {
  /**
   * Gives the code of the error that a call is to fail with, or what a call in the thread pool is to
   * wait for first; `name` is without `Sync`.
   */
  rule:
    | ((name: string, args: readonly unknown[]) => string | Promise<void> | undefined)
    | undefined;
} = { rule: undefined };

type Call = (...args: unknown[]) => unknown;
const calls = fs as unknown as Record<string, Call>;
const originals = new Map<string, Call>();

for (const name of [
  "open",
  "close",
  "fstat",
  "read",
  "write",
  "ftruncate",
  "truncate",
  "fdatasync",
  "fsync",
  "link",
  "mkdir",
  "readdir",
  "rename",
  "rmdir",
  "unlink",
  "utimes",
  "access",
]) {
  for (const both of [`${name}Sync`, name]) {
    const original = calls[both] as Call;
    originals.set(both, original);
    calls[both] = (...args) => {
      const code = faults.rule?.(name, args);
      if (code === undefined) return original(...args);
      if (code instanceof Promise) {
        return both === name ? code.then(() => original(...args)) : original(...args);
      }
      const error = Object.assign(new Error(`${code}: injected, ${name}`), { code, syscall: name });
      if (both !== name) throw error;
      return setImmediate(args.at(-1) as (error: Error) => void, error);
    };
  }
}

/** To be called at the end of the test file. */
export function endFaults(): void {
  for (const [name, original] of originals) calls[name] = original;
}
