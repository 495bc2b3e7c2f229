import type { Cover } from "../format/cover.js";
import { Tail } from "../format/tail.js";
import { contradiction, missing } from "../objects/failure.js";
import type { Requests } from "../objects/requests.js";
import type { Segment } from "./segment.js";

/**
 * The tails of segments. Tails are kept in memory while they fit, and are not evicted: each read goes
 * through all of them in turn, so a least-recently-used cache that is one tail too small would never
 * hit.
 */
export class Tails {
  readonly #requests: Requests;
  /** The most bytes of tails to keep. */
  readonly #memory: number;
  readonly #kept = new Map<Segment, Tail>();
  #keptBytes = 0;
  readonly #reading = new Map<Segment, Promise<Tail>>();

  constructor(requests: Requests, memory: number) {
    this.#requests = requests;
    this.#memory = memory;
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
    this.forget(segment);
    const { length } = tail.bytes;
    // Without values it is read once only, for what it removes.
    if (segment.isWithoutValues || this.#keptBytes + length > this.#memory) return;
    this.#kept.set(segment, tail);
    this.#keptBytes += length;
  }

  forget(segment: Segment): void {
    const tail = this.#kept.get(segment);
    if (!tail) return;
    this.#kept.delete(segment);
    this.#keptBytes -= tail.bytes.length;
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

/** What the removing segments of a data set remove from the others. */
export class Removals {
  /** The segments added here. */
  readonly #segments = new Set<Segment>();
  readonly #clears: Cover[] = [];
  readonly #byKey = new Map<string, Cover[]>();

  has(segment: Segment): boolean {
    return this.#segments.has(segment);
  }

  get count(): number {
    return this.#segments.size;
  }

  add(segment: Segment, tail: Tail): void {
    this.#segments.add(segment);
    if (segment.kind === "clear") {
      this.#clears.push(tail.cover);
      return;
    }
    for (const entries = tail.entries(); entries.advance(); ) {
      if (!entries.removes) continue;
      const covers = this.#byKey.get(entries.key);
      if (covers) covers.push(tail.cover);
      else this.#byKey.set(entries.key, [tail.cover]);
    }
  }

  /** Whether everything in the segment is removed. */
  isAllRemoved(segment: Segment): boolean {
    return this.#clears.some((cover) => cover.has(segment));
  }

  /** Whether the segment's value of the key is removed. */
  isRemoved(segment: Segment, key: string): boolean {
    return this.#byKey.get(key)?.some((cover) => cover.has(segment)) ?? false;
  }
}
