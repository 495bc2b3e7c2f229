import { read } from "node:fs";

/** A file read in long stretches, from front to back. */
export class Window {
  readonly fd: number;
  readonly #size: number;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  /** @param size where the file ends, as far as we are concerned. */
  constructor(fd: number, size: number) {
    this.fd = fd;
    this.#size = size;
  }

  /** The stretch, if it was read along with what came before it. */
  has(offset: number, length: number): Buffer | undefined {
    const at = offset - this.#start;
    if (at < 0 || at + length > this.#bytes.length) return undefined;
    return this.#bytes.subarray(at, at + length);
  }

  /** The stretch, or as much of it as there is. */
  async read(offset: number, length: number): Promise<Buffer> {
    const found = this.has(offset, length);
    if (found) return found;
    const wanted = Math.max(0, Math.min(Math.max(length, STRETCH), this.#size - offset));
    const bytes = Buffer.allocUnsafeSlow(wanted);
    const filled = await readAt(this.fd, bytes, offset);
    this.#bytes = bytes.subarray(0, filled);
    this.#start = offset;
    return this.#bytes.subarray(0, Math.min(length, filled));
  }
}

const STRETCH = 2 ** 20;

/** Fills `bytes` from `position` on; fewer only where the file ends. */
export async function readAt(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const count = await new Promise<number>((resolve, reject) => {
      const length = Math.min(bytes.length - done, 2 ** 30);
      read(fd, bytes, done, length, position + done, (error, count) =>
        error ? reject(error) : resolve(count),
      );
    });
    if (count === 0) break;
    done += count;
  }
  return done;
}
