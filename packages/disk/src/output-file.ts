import {
  constants,
  type FileHandle,
  open,
  readlink,
  realpath,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { dirname, isAbsolute, resolve } from "node:path";
import { hiddenStart, ownName, removeLeft } from "./hidden-names.js";

export interface OutputOptions {
  /**
   * Throws to refuse a path, which is the one that symbolic links lead to. It is called before anything
   * is written, and again before the file gets its name. Default: an existing file is replaced.
   */
  readonly accept?: ((path: string) => Promise<void> | void) | undefined;
}

export interface FileIdentity {
  readonly ino: number;
  readonly birthtimeMs: number;
}

/**
 * A file that appears under its name when it is complete, and never before. Until then its bytes are in
 * a hidden file beside it, which is removed if the work fails or, after a kill, by the next `OutputFile`
 * of this name. A file that it replaces can be read meanwhile, and passes on its permissions. A symbolic
 * link stays one. Devices, pipes and descriptors (`/dev/stdout`) are written directly.
 */
export class OutputFile implements AsyncDisposable {
  /** Where symbolic links lead. */
  readonly path: string;
  readonly #partial: string;
  readonly #file: FileHandle;
  readonly #accept: OutputOptions["accept"];
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #complete = false;

  /** @throws the system's errors, such as ENOENT if the directory is missing. */
  static async create(name: string, { accept }: OutputOptions = {}): Promise<OutputFile> {
    const there = await stat(name).catch(() => undefined);
    if (isDescriptor(name) || (there && !there.isFile() && !there.isDirectory())) {
      return new OutputFile(name, name, await open(name, DIRECT), undefined);
    }
    const path = await targetOf(name);
    await accept?.(path);
    // Opening it fails for a directory, and for a file that is protected from writing.
    if (there) await (await open(path, "r+")).close();
    const start = hiddenStart(path);
    const partial = ownName(start, ENDING);
    removeLeft(start, ENDING);
    const mode = there && there.mode & 0o777;
    const file = await open(partial, "wx", mode);
    // Some file systems have no modes.
    if (mode !== undefined) await file.chmod(mode).catch(() => undefined);
    return new OutputFile(path, partial, file, accept);
  }

  private constructor(
    path: string,
    partial: string,
    file: FileHandle,
    accept: OutputOptions["accept"],
  ) {
    this.path = path;
    this.#partial = partial;
    this.#file = file;
    this.#accept = accept;
  }

  /** What tells this file from others. It stays the same when the file gets its name. */
  async identity(): Promise<FileIdentity> {
    const { ino, birthtimeMs } = await this.#file.stat();
    return { ino, birthtimeMs };
  }

  /** Adds bytes to the end; the array is not to be changed before the next write resolves. */
  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.byteLength;
    if (this.#pendingBytes >= PIECE) await this.#writePending();
  }

  /** Flushes the bytes to the disk and gives the file its name. */
  async complete(): Promise<void> {
    await this.#writePending();
    if (this.#partial === this.path) {
      this.#complete = true;
      return this.#file.close();
    }
    await this.#file.sync();
    await this.#file.close();
    await this.#accept?.(this.path);
    await rename(this.#partial, this.path);
    this.#complete = true;
  }

  /** Removes what is not complete. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#complete) return;
    await this.#file.close().catch(() => undefined); // It may be closed already.
    if (this.#partial !== this.path) await rm(this.#partial, { force: true });
  }

  async #writePending(): Promise<void> {
    const bytes = this.#pending.length === 1 ? this.#pending[0] : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    let done = 0;
    while (bytes !== undefined && done < bytes.byteLength) {
      done += (await this.#file.write(bytes, done)).bytesWritten;
    }
  }
}

/** Where links lead, whether a file is there or not. */
async function targetOf(name: string): Promise<string> {
  try {
    return await realpath(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const link = await readlink(name).catch(() => undefined);
    if (link === undefined) return name;
    return targetOf(isAbsolute(link) ? link : `${dirname(name)}/${link}`);
  }
}

/** Whether a path names an open file of a process, which others may write to as well. */
function isDescriptor(name: string): boolean {
  return /^\/(dev\/(std(out|err)$|fd\/)|proc\/[^/]+\/fd\/)/.test(resolve(name));
}

/** Appends, because standard output may be a file that has bytes already. */
const DIRECT = constants.O_WRONLY | constants.O_APPEND;

const ENDING = ".partial";

/**
 * Bytes that are written at once. The pieces of a run, of almost 256 KiB, are not copied together: in a
 * sort of 240 MB the copies took 200 of 1,760 ms in user mode, most of them in 28 garbage collections.
 */
const PIECE = 1 << 17;
