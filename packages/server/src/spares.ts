import { allocateBytes } from "@partd/core/author";

/**
 * Memory to write messages in, all of one length, used again and again: fresh memory costs more
 * than to write it.
 */
export class Spares {
  readonly byteLength: number;
  readonly #most: number;
  readonly #spares: Uint8Array<ArrayBuffer>[] = [];

  /** @param most more would be idle memory. */
  constructor(byteLength: number, most: number) {
    this.byteLength = byteLength;
    this.#most = most;
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#spares.pop() ?? allocateBytes(this.byteLength);
  }

  give(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#spares.length < this.#most) this.#spares.push(bytes);
  }
}
