import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** A call of the file system that is about to be made. */
export interface DiskCall {
  /** Its name, without `Sync`: `"open"`. */
  readonly name: string;
  /** Whether it may create or change a file. */
  readonly changes: boolean;
}

/**
 * Makes calls of `node:fs` and `node:fs/promises` fail in this process, in all modules, also by named
 * imports. It does not work in jest, which gives each test its own copies of modules: run it in a child
 * process.
 */
export class FaultyDisk {
  /** Returns the code with which a call fails, such as `"EIO"`. Default: no call fails. */
  rule: ((call: DiskCall) => string | undefined) | undefined;
  readonly #restore: (() => void)[] = [];

  private constructor() {}

  static async install(): Promise<FaultyDisk> {
    const disk = new FaultyDisk();
    for (const name of CALLS) {
      disk.#wrap(fs, `${name}Sync`, name, "throws");
      disk.#wrap(fs, name, name, "calls back");
      disk.#wrap(fs.promises, name, name, "rejects");
    }
    const handle = await fs.promises.open(process.execPath);
    const methods = Object.getPrototypeOf(handle) as object;
    await handle.close();
    for (const [name, call] of HANDLE_METHODS) disk.#wrap(methods, name, call, "rejects");
    syncBuiltinESMExports();
    return disk;
  }

  /** Undoes {@link install}. */
  remove(): void {
    for (const restore of this.#restore) restore();
    syncBuiltinESMExports();
  }

  #wrap(owner: object, method: string, name: string, how: Manner): void {
    const methods = owner as { [method: string]: ((...args: unknown[]) => unknown) | undefined };
    const original = methods[method];
    if (typeof original !== "function") return;
    this.#restore.push(() => {
      methods[method] = original;
    });
    const disk = this;
    methods[method] = function (this: unknown, ...args: unknown[]): unknown {
      const changes = CHANGES.has(name) || (name === "open" && opensToWrite(args[1]));
      const code = disk.rule?.({ name, changes });
      // Other processes see the page cache, so flushing is not needed.
      const isFlush = name === "fsync" || name === "fdatasync";
      if (code === undefined && !isFlush) return original.apply(this, args);
      if (code === undefined) return flushed(how, args);
      if (name === "exists") return false; // It reports no errors.
      const error = Object.assign(new Error(`${code}: injected, ${name}`), { code, syscall: name });
      if (how === "throws") {
        disk.#doPart(name, args, original);
        throw error;
      }
      if (how === "rejects") {
        // A descriptor is closed even if that reports an error.
        return name === "close"
          ? (original.apply(this, args) as Promise<void>).then(() => Promise.reject(error))
          : Promise.reject(error);
      }
      const answer = args.at(-1) as (error: Error) => void;
      if (name === "close") return original(...args.slice(0, -1), () => answer(error));
      setImmediate(answer, error);
      return undefined;
    };
  }

  /** Does what a call does before it fails: a full disk takes the pages that fit. */
  #doPart(name: string, args: unknown[], original: (...args: unknown[]) => unknown): void {
    if (name === "close") original(...args);
    const [fd, bytes, from = 0, length, position] = args;
    if (name !== "write" || typeof length !== "number") return;
    const at = typeof position === "number" ? position : 0;
    const whole = at + length - ((at + length) % PAGE) - at;
    if (whole > 0) original(fd, bytes, from, Math.min(whole, length - 1), position);
  }
}

/** The result of a call that does nothing. */
function flushed(how: Manner, args: unknown[]): unknown {
  if (how === "throws") return undefined;
  if (how === "rejects") return Promise.resolve();
  return setImmediate(args.at(-1) as (error: null) => void, null);
}

/** How a call reports its failure. */
type Manner = "throws" | "calls back" | "rejects";

/** Whether flags, as numbers or text, let a file be created or written. */
function opensToWrite(flags: unknown): boolean {
  if (typeof flags === "string") return flags !== "r";
  const { O_WRONLY, O_RDWR, O_CREAT } = fs.constants;
  return (((flags as number | undefined) ?? 0) & (O_WRONLY | O_RDWR | O_CREAT)) !== 0;
}

const CHANGES: ReadonlySet<string> = new Set([
  "fdatasync",
  "fsync",
  "ftruncate",
  "link",
  "mkdir",
  "rename",
  "rm",
  "rmdir",
  "truncate",
  "unlink",
  "utimes",
  "write",
  "writev",
]);

/** The unit that a file system writes as a whole or not at all. */
const PAGE = 4096;

const CALLS: readonly string[] = [
  ...CHANGES,
  "close",
  "exists",
  "fchmod",
  "fstat",
  "lstat",
  "open",
  "opendir",
  "read",
  "readdir",
  "readv",
  "stat",
];

/** Methods of a `FileHandle`, and the calls that they make. */
const HANDLE_METHODS = [
  ["close", "close"],
  ["datasync", "fdatasync"],
  ["read", "read"],
  ["stat", "fstat"],
  ["sync", "fsync"],
  ["truncate", "ftruncate"],
  ["write", "write"],
  ["writev", "writev"],
] as const;
