import fs, { type Stats } from "node:fs";
import { checkCount, closeFile, errnoOf } from "@partd/disk";

/**
 * Makes file system calls where they cost least. A small read or write that the page cache serves
 * takes 1 µs in this thread, but 4 µs of this thread's time through the thread pool. So calls are
 * made in this thread while they return at once. After a slow one, and always for long pieces, they
 * go to the pool, where many can wait without holding up the event loop.
 *
 * Each method returns its result if it ran in this thread, and a promise if not.
 */
export class Disk {
  readonly #data = new Gauge();
  /** Creating and removing names may wait for the disk when reads and writes do not. */
  readonly #names = new Gauge();

  open(path: string, flags: number): number | Promise<number> {
    return call<number>(this.#names, "open", path, flags, 0o666);
  }

  /** Whether a file may be opened or created in this thread. */
  get namesHere(): boolean {
    return this.#names.prompt;
  }

  laps(): Laps {
    return new Laps(this.#data, this.#names);
  }

  /** Cannot fail: see `closeFile`. */
  close(fd: number): void | Promise<void> {
    if (!this.#data.prompt) return pooled<void>("close", fd).catch(() => {});
    const start = performance.now();
    closeFile(fd);
    this.#data.took(performance.now() - start);
  }

  /** Written out, for it runs for each key of an append. */
  fstat(fd: number): Stats | Promise<Stats> {
    if (!this.#data.prompt) return pooled<Stats>("fstat", fd);
    const start = performance.now();
    try {
      return fs.fstatSync(fd);
    } finally {
      this.#data.took(performance.now() - start);
    }
  }

  /** Undefined if nothing is there. */
  async stat(path: string): Promise<Stats | undefined> {
    try {
      return await call<Stats>(this.#names, "stat", path);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async exists(path: string): Promise<boolean> {
    return (await this.stat(path)) !== undefined;
  }

  /**
   * Creates one folder, unless something has its name. It does not create those above: if they are
   * missing, the data set was moved away, and must not come back.
   */
  async makeFolder(path: string): Promise<void> {
    try {
      await call<void>(this.#names, "mkdir", path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
  }

  readdir(path: string): string[] | Promise<string[]> {
    return call<string[]>(this.#names, "readdir", path);
  }

  rename(from: string, to: string): void | Promise<void> {
    return call<void>(this.#names, "rename", from, to);
  }

  rmdir(path: string): void | Promise<void> {
    return call<void>(this.#names, "rmdir", path);
  }

  unlink(path: string): void | Promise<void> {
    return call<void>(this.#names, "unlink", path);
  }

  truncate(fd: number, length: number): void | Promise<void> {
    return call<void>(this.#names, "ftruncate", fd, length);
  }

  /** Flushes a file's bytes to the disk. */
  sync(fd: number): Promise<void> {
    return pooled<void>("fdatasync", fd);
  }

  /** Flushes the names in folders to the disk. Missing folders are skipped. */
  async syncFolders(paths: Iterable<string>): Promise<void> {
    for (const path of paths) {
      let fd: number;
      try {
        fd = await this.open(path, fs.constants.O_RDONLY);
      } catch (error) {
        if (isAbsent(error)) continue;
        throw error;
      }
      try {
        await pooled<void>("fsync", fd);
      } catch (error) {
        // Windows neither has nor needs this.
        if (errnoOf(error) !== "EPERM" && errnoOf(error) !== "EINVAL") throw error;
      } finally {
        await this.close(fd);
      }
    }
  }

  /** Removes a file. @returns false if there is none. */
  async unlinkIfThere(path: string): Promise<boolean> {
    try {
      await this.unlink(path);
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      // POSIX lets unlink refuse a folder with EPERM.
      if (errnoOf(error) === "EPERM" && !(await this.stat(path))?.isFile()) return false;
      throw error;
    }
  }

  /** Writes all of `bytes` at `position`, in as many calls as needed. */
  writeAll(fd: number, bytes: Uint8Array, position: number): void | Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      if (!this.takesHere(bytes.length - done)) return this.#writeInPool(fd, bytes, position, done);
      done += this.writeHere(fd, done === 0 ? bytes : bytes.subarray(done), position + done);
    }
  }

  async #writeInPool(fd: number, bytes: Uint8Array, position: number, from: number): Promise<void> {
    for (let done = from; done < bytes.length; ) {
      const length = Math.min(bytes.length - done, SLICE);
      const count = await pooled<number>("write", fd, bytes, done, length, position + done);
      done += checkCount("write", count, length);
    }
  }

  /** Fills `bytes` from `position` on, up to the end of the file. @returns the bytes read. */
  readAll(fd: number, bytes: Uint8Array, position: number): number | Promise<number> {
    if (!this.takesHere(bytes.length)) return this.#readInPool(fd, bytes, position, 0);
    const start = performance.now();
    try {
      let done = 0;
      while (done < bytes.length) {
        const length = bytes.length - done;
        const count = fs.readSync(fd, bytes, done, length, position + done);
        if (count === 0) break;
        done += checkCount("read", count, length);
      }
      return done;
    } finally {
      this.#data.took(performance.now() - start);
    }
  }

  async #readInPool(
    fd: number,
    bytes: Uint8Array,
    position: number,
    from: number,
  ): Promise<number> {
    let done = from;
    while (done < bytes.length) {
      const length = Math.min(bytes.length - done, SLICE);
      const count = await pooled<number>("read", fd, bytes, done, length, position + done);
      if (count === 0) break;
      done += checkCount("read", count, length);
    }
    return done;
  }

  async readText(path: string, most = Number.POSITIVE_INFINITY): Promise<string> {
    const fd = await this.open(path, fs.constants.O_RDONLY | STRICT);
    try {
      const { size } = await this.fstat(fd);
      const bytes = Buffer.allocUnsafe(Math.min(size, most));
      return bytes.toString("latin1", 0, await this.readAll(fd, bytes, 0));
    } finally {
      await this.close(fd);
    }
  }

  async writeText(path: string, text: string, fsync: boolean): Promise<void> {
    const { O_WRONLY, O_CREAT, O_TRUNC } = fs.constants;
    const fd = await this.open(path, O_WRONLY | O_CREAT | O_TRUNC | STRICT);
    try {
      await this.writeAll(fd, Buffer.from(text, "latin1"), 0);
      if (fsync) await this.sync(fd);
    } finally {
      await this.close(fd);
    }
  }

  /** Whether a read or write of this length may be made in this thread. */
  takesHere(byteLength: number, most = LONG): boolean {
    return byteLength <= most && this.#data.prompt;
  }

  /** Makes one write in this thread, if {@link takesHere} allows it. @returns the bytes written. */
  writeHere(fd: number, bytes: Uint8Array, position: number): number {
    const start = performance.now();
    try {
      const count = fs.writeSync(fd, bytes, 0, bytes.length, position);
      return checkCount("write", count, bytes.length);
    } finally {
      this.#data.took(performance.now() - start);
    }
  }

  /** Reports the duration of a read made outside this class. */
  took(milliseconds: number): void {
    this.#data.took(milliseconds);
  }
}

/**
 * Calls in this thread that follow one another without a wait. The clock is read once for each: a
 * second reading took 5 % of the CPU time of an append to 1,000 keys.
 */
export class Laps {
  readonly #data: Gauge;
  readonly #names: Gauge;
  #since = performance.now();

  constructor(data: Gauge, names: Gauge) {
    this.#data = data;
    this.#names = names;
  }

  open(path: string, flags: number): number {
    const fd = fs.openSync(path, flags, 0o666);
    this.#end(this.#names);
    return fd;
  }

  fstat(fd: number): Stats {
    const stats = fs.fstatSync(fd);
    this.#end(this.#data);
    return stats;
  }

  writeAll(fd: number, bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.length; ) {
      const rest = done === 0 ? bytes : bytes.subarray(done);
      const count = fs.writeSync(fd, rest, 0, rest.length, position + done);
      done += checkCount("write", count, rest.length);
      this.#end(this.#data);
    }
  }

  #end(gauge: Gauge): void {
    const now = performance.now();
    gauge.took(now - this.#since);
    this.#since = now;
  }
}

/** Limits how many pooled calls run at once, and collects their errors. */
export class PoolQueue {
  readonly #width: number;
  #running = 0;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(width: number) {
    this.#width = width;
  }

  add(work: Promise<unknown>): void {
    this.#running++;
    work
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#running--;
        this.#wake?.();
      });
  }

  /** Resolves when another call may be added. @throws the first failure of a call. */
  async room(): Promise<void> {
    while (this.#running >= this.#width) await this.#change();
    if (this.#failure) throw this.#failure.error;
  }

  /** Resolves when no call runs. @throws the first failure of a call. */
  async done(): Promise<void> {
    await this.settled();
    if (this.#failure) throw this.#failure.error;
  }

  /** Resolves when no call runs, even if some failed. */
  async settled(): Promise<void> {
    while (this.#running > 0) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

/** Whether nothing is there, or something that is not a file. */
export function isAbsent(error: unknown): boolean {
  return errnoOf(error) === "ENOENT" || isUnusable(error);
}

/** Whether no file can have that name. Deno reports a folder in its place as ENOTEMPTY. */
export function isUnusable(error: unknown): boolean {
  return /^(EISDIR|ENOTDIR|ENAMETOOLONG|ENOTEMPTY)$/.test(errnoOf(error) ?? "");
}

/**
 * For each file that may be there already, in a data set that may come from elsewhere: a symbolic
 * link is not followed, which could lead out of the directory, and a named pipe is not waited for.
 */
export const STRICT = (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0);

/** The most bytes of one call. Between calls, an abort and a lost lock are noticed. */
export const SLICE = 8 * 2 ** 20;
/** Pieces up to this many bytes are copied to or from the page cache in this thread. */
export const LONG = 65_536;

/** Judges whether calls of one kind currently return at once. */
class Gauge {
  #poolUntil = 0;
  /** For this many calls, another slow one counts as the second in a row. */
  #suspicious = 0;

  get prompt(): boolean {
    if (this.#poolUntil === 0) return true;
    if (performance.now() < this.#poolUntil) return false;
    this.#poolUntil = 0;
    return true;
  }

  took(milliseconds: number): void {
    if (milliseconds < SLOW_MS) {
      if (this.#suspicious > 0) this.#suspicious--;
    } else if (this.#suspicious === 0) {
      this.#suspicious = SUSPICIOUS; // Another process may simply have had its turn.
    } else {
      this.#poolUntil = performance.now() + Math.min(milliseconds * POOL_FACTOR, POOL_MS);
    }
  }
}

/** A call in this thread that takes this many milliseconds has waited for the disk. */
const SLOW_MS = 3;
const SUSPICIOUS = 16;
/**
 * After slow calls, use the pool for this many times their duration, so that trials cost little.
 */
const POOL_FACTOR = 20;
const POOL_MS = 1000;

/** Looked up at each call, so that tests can inject faults. */
const calls = fs as unknown as { [name: string]: (...args: unknown[]) => unknown };

function call<T>(gauge: Gauge, name: string, ...args: unknown[]): T | Promise<T> {
  if (!gauge.prompt) return pooled<T>(name, ...args);
  const start = performance.now();
  try {
    return calls[`${name}Sync`]?.(...args) as T;
  } finally {
    gauge.took(performance.now() - start);
  }
}

function pooled<T>(name: string, ...args: unknown[]): Promise<T> {
  return new Promise((resolve, reject) => {
    calls[name]?.(...args, (error: Error | null, result?: unknown) =>
      error ? reject(error) : resolve(result as T),
    );
  });
}
