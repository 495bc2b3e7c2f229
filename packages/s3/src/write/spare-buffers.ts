/**
 * Memory of objects, used again for later ones: the system gives new memory page by page, which takes
 * 0.65 ms a MiB, three times as long as copying into it and the checksum.
 */
export class SpareBuffers {
  readonly #spares: Buffer[] = [];
  readonly #most: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param most blocks that are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns memory of at least `length` bytes. */
  take(length: number): Buffer {
    const at = this.#spares.findIndex((spare) => spare.length >= length);
    if (at >= 0) return this.#spares.splice(at, 1)[0] as Buffer;
    this.#spares.shift(); // All are too short: keep larger ones instead.
    return Buffer.allocUnsafeSlow(length < KEPT_FROM ? length : Math.ceil(length * 1.125));
  }

  /** Takes memory that nothing reads any more, and keeps it for {@link KEPT_MS}. */
  giveBack(block: Buffer): void {
    if (block.length < KEPT_FROM || this.#spares.length >= this.#most) return;
    this.#spares.push(block);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.clear(), KEPT_MS).unref();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#spares.length = 0;
  }
}

/** In bytes: what is shorter does not take long. */
const KEPT_FROM = 2 ** 20;
/** Milliseconds without a commit: a buffer that is filled with 32 MiB a second gives its next 64 MiB sooner. */
const KEPT_MS = 2_000;
