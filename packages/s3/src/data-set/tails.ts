import { Tail } from "../format/tail.js";
import { contradiction, missing } from "../objects/missing.js";
import type { Requests } from "../objects/requests.js";
import type { Segment } from "./segment.js";

/** The tails of segments. The most recently used are kept in memory. */
export class Tails {
  readonly #requests: Requests;
  readonly #memory: number;
  readonly #kept = new Map<Segment, Tail>();
  #bytes = 0;
  readonly #reading = new Map<Segment, Promise<Tail>>();

  /** @param memory the most bytes of tails to keep. */
  constructor(requests: Requests, memory: number) {
    this.#requests = requests;
    this.#memory = memory;
  }

  /** @throws {@link missing} if the segment is gone; `ERR_PARTD_CORRUPT` if it is damaged. */
  async of(segment: Segment, signal?: AbortSignal): Promise<Tail> {
    const kept = this.#kept.get(segment);
    if (kept) {
      this.#kept.delete(segment);
      this.#kept.set(segment, kept); // Now it is the most recently used.
      return kept;
    }
    let reading = signal ? undefined : this.#reading.get(segment);
    if (!reading) {
      reading = this.#read(segment, signal).finally(() => this.#reading.delete(segment));
      if (!signal) this.#reading.set(segment, reading);
    }
    return reading;
  }

  has(segment: Segment): boolean {
    return this.#kept.has(segment);
  }

  keep(segment: Segment, tail: Tail): void {
    if (this.#kept.has(segment)) return;
    this.#kept.set(segment, tail);
    this.#bytes += tail.bytes.length;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#bytes <= this.#memory) break;
      this.#kept.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }

  forget(segment: Segment): void {
    const tail = this.#kept.get(segment);
    if (!tail) return;
    this.#kept.delete(segment);
    this.#bytes -= tail.bytes.length;
  }

  async #read(segment: Segment, signal: AbortSignal | undefined): Promise<Tail> {
    const { key, size, tailLength } = segment;
    const bytes = await this.#requests.read(key, size - tailLength, size, signal);
    if (!bytes) throw missing(key);
    return this.#adopt(segment, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  #adopt(segment: Segment, bytes: Buffer): Tail {
    const tail = new Tail(bytes, segment, segment.key);
    checkLengths(segment, tail);
    this.keep(segment, tail);
    return tail;
  }
}

function checkLengths(segment: Segment, tail: Tail): void {
  const { inParts, size, tailLength, key } = segment;
  const fits = inParts
    ? tail.partLength > 0 || tail.bodyLength === 0
    : tail.partLength === 0 && tail.bodyLength === size - tailLength;
  if (!fits) throw contradiction(key);
}
