import { type FileHandle, lstat, open, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { UsageError } from "../command/failure.js";
import { hiddenStart, ownName, removeLeft } from "./hidden-names.js";

export interface OutputOptions {
  /** Whether a file that is there is replaced. Default false. */
  readonly force?: boolean;
}

export interface FileIdentity {
  readonly ino: number;
  readonly birthtimeMs: number;
}

/**
 * A file that appears under its name when it is complete, and never before: until then its bytes
 * are in a hidden one beside it, which is removed if the work fails or, after a kill, by the next
 * that is to have the name.
 */
export class OutputFile implements AsyncDisposable {
  readonly path: string;
  readonly #partial: string;
  readonly #file: FileHandle;
  readonly #force: boolean;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #complete = false;

  /** @throws `UsageError` where the name is taken and `force` is not given. */
  static async create(name: string, { force = false }: OutputOptions = {}): Promise<OutputFile> {
    // A link stays one: what it points at is replaced.
    const path = await realpath(name).catch(() => name);
    const there = await stat(path).catch(() => undefined);
    if (there !== undefined && !there.isFile() && !there.isDirectory()) {
      // A device or a pipe has its name already, such as /dev/null.
      return new OutputFile(path, path, await open(path, "w"), true);
    }
    await refuseTaken(path, force);
    const start = hiddenStart(path);
    const partial = ownName(start, ENDING);
    removeLeft(start, ENDING);
    const file = await open(partial, "wx").catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      throw new UsageError(`there is no directory ${dirname(path)} to write ${basename(path)} in`);
    });
    return new OutputFile(path, partial, file, force);
  }

  private constructor(path: string, partial: string, file: FileHandle, force: boolean) {
    this.path = path;
    this.#partial = partial;
    this.#file = file;
    this.#force = force;
  }

  /** Tells the file from others, under its hidden name and under its own. */
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

  /** Brings the bytes to the disk and gives the file its name. */
  async complete(): Promise<void> {
    await this.#writePending();
    if (this.#partial === this.path) {
      this.#complete = true;
      return this.#file.close();
    }
    await this.#file.sync();
    await this.#file.close();
    await refuseTaken(this.path, this.#force);
    await rename(this.#partial, this.path);
    this.#complete = true;
  }

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

async function refuseTaken(path: string, force: boolean): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return;
  if (there.isDirectory()) throw new UsageError(`${path} is a directory, not a file`);
  if (!force) throw new UsageError(`${path} exists; add --force to replace it`);
}

const ENDING = ".partial";

/** Bytes that are written at once. */
const PIECE = 1 << 18;
