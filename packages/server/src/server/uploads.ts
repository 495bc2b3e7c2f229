import { allocateBytes } from "@partd/core/author";
import { malformed } from "../protocol/message-reader.js";

/** A request that comes in chunks, until it is whole. */
export class IncomingUpload {
  readonly type: number;
  readonly flags: number;
  readonly byteLength: number;
  readonly abort = new AbortController();
  #bytes: Uint8Array | undefined;
  #received = 0;
  /** What was let come and has not. */
  #granted = 0;
  /** Bytes of the server's budget that it has. */
  reserved = 0;
  progress = performance.now();

  constructor(type: number, flags: number, byteLength: number) {
    this.type = type;
    this.flags = flags;
    this.byteLength = byteLength;
  }

  /** Whether it is the client's turn. */
  get waitsForClient(): boolean {
    return this.#granted > 0;
  }

  /** Whether all of it is here. */
  get complete(): boolean {
    return this.#received === this.byteLength;
  }

  /** How many more bytes may come now. */
  grant(window: number): number {
    this.#bytes ??= allocateBytes(this.byteLength);
    this.progress = performance.now();
    const bytes = Math.min(window, this.byteLength - this.#received) - this.#granted;
    if (bytes < Math.min(window / 2, this.byteLength - this.#received - this.#granted)) return 0;
    this.#granted += bytes;
    return bytes;
  }

  /** A chunk has come. The answer is the whole body, when it is the last. */
  add(chunk: Uint8Array): Uint8Array | undefined {
    if (chunk.byteLength > this.#granted) throw malformed("a chunk is longer than was granted");
    this.progress = performance.now();
    this.#granted -= chunk.byteLength;
    this.#bytes?.set(chunk, this.#received);
    this.#received += chunk.byteLength;
    return this.#received === this.byteLength ? this.#bytes : undefined;
  }
}
