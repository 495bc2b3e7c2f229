import { LastUsed } from "@partd/core/author";
import { Tail } from "../format/tail.js";
import { contradiction, missing } from "../objects/missing.js";
import type { Requests } from "../objects/requests.js";
import type { Segment } from "./segment.js";

/** The tails of segments. The most recently used are kept in memory. */
export class Tails {
  readonly #requests: Requests;
  readonly #kept: LastUsed<Segment, Tail>;
  readonly #reading = new Map<Segment, Promise<Tail>>();

  /** @param memory the most bytes of tails to keep. */
  constructor(requests: Requests, memory: number) {
    this.#requests = requests;
    this.#kept = new LastUsed(memory);
  }

  /** @throws {@link missing} if the segment is gone; `ERR_PARTD_CORRUPT` if it is damaged. */
  async of(segment: Segment, signal?: AbortSignal): Promise<Tail> {
    const kept = this.#kept.get(segment);
    if (kept) return kept;
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
    this.#kept.keep(segment, tail, tail.bytes.length);
  }

  forget(segment: Segment): void {
    this.#kept.delete(segment);
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
