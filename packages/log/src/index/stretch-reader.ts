import { fstatSync } from "node:fs";
import { PartdError } from "@partd/core";
import { closeFile, readAll, systemError } from "@partd/disk";
import {
  AT_ONCE,
  forget,
  isNamed,
  type OpenFile,
  openOrMakeRoom,
  type ReadableFile,
  readAtOnce,
  remember,
} from "../open-files.js";

/**
 * Reads places of a file in ascending order: in long stretches if most of the file is wanted, otherwise
 * only what is asked for, in this thread. A read from the page cache takes 3 µs here, and 30 through
 * the thread pool.
 */
export class StretchReader {
  readonly #file: ReadableFile;
  readonly #path: string;
  readonly isDense: boolean;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(file: number | ReadableFile, path: string, isDense: boolean) {
    this.#file = typeof file === "number" ? { reading: (read) => read(file) } : file;
    this.#path = path;
    this.isDense = isDense;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const at = position - this.#start;
    if (at < 0 || at + length > this.#bytes.length) {
      const wanted = this.isDense ? Math.max(length, STRETCH) : length;
      this.#bytes = await this.#file.reading((fd) => this.#readSome(fd, position, wanted, length));
      this.#start = position;
      return this.#bytes.subarray(0, length);
    }
    return this.#bytes.subarray(at, at + length);
  }

  async #readSome(fd: number, position: number, wanted: number, least: number): Promise<Buffer> {
    if (wanted <= AT_ONCE) {
      const bytes = Buffer.allocUnsafeSlow(wanted);
      if (readAtOnce(fd, bytes, position) === wanted) return bytes;
    }
    const { size } = fstatSync(fd);
    if (position + least > size) throw damagedIndex(this.#path, "it is cut short");
    return readExactly(fd, this.#path, position, Math.min(wanted, size - position));
  }
}

const STRETCH = 2 ** 18;

export async function readExactly(
  fd: number,
  path: string,
  position: number,
  length: number,
): Promise<Buffer> {
  // Check before allocating: a damaged length may be anything.
  if (position + length > fstatSync(fd).size) throw damagedIndex(path, "it is cut short");
  const bytes = Buffer.allocUnsafeSlow(length);
  if ((await readAll(fd, bytes, position)) < length) throw damagedIndex(path, "it is cut short");
  return bytes;
}

export function damagedIndex(path: string, why: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The index ${path} cannot be used: ${why}; it is made anew from its segment when it is deleted.`,
    { path },
  );
}

/**
 * An index whose keys are being listed. It stays open between reads, because it may be removed
 * meanwhile. If descriptors run out it is closed, as long as it still has its name.
 */
export class ListedFile implements OpenFile {
  readonly #path: string;
  #fd: number | undefined;
  #isRead = false;

  constructor(path: string) {
    this.#path = path;
  }

  async reading<T>(read: (fd: number) => Promise<T>): Promise<T> {
    this.#isRead = true;
    try {
      return await read(this.#fd ?? this.#open());
    } finally {
      this.#isRead = false;
    }
  }

  rest(scarce: boolean): void {
    if (scarce && !this.#isRead && this.#fd !== undefined && isNamed(this.#fd)) this.close();
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    forget(this);
    closeFile(fd);
  }

  #open(): number {
    try {
      this.#fd = openOrMakeRoom(this.#path, "r");
    } catch (cause) {
      throw systemError({ action: "open", path: this.#path }, cause);
    }
    remember(this);
    return this.#fd;
  }
}
