import type { RecordCodec } from "../source/input.js";
import { LONG_BYTES } from "../spill/frame.js";

export interface Visit {
  /** Receives a record. The array is valid until the walk goes on, unless `isOwn`. */
  (bytes: Uint8Array, start: number, end: number, isOwn?: boolean): void;
  /** Receives records that lie end to end, none of them long. Missing if the visitor needs each record. */
  joined?: (records: Uint8Array) => void;
}

/**
 * Begins to visit records. Each call of the returned function visits some more, and tells whether there
 * may be others; it is synchronous if they are in memory, because a promise costs as much as a small
 * record.
 */
export type Walk = (visit: Visit) => () => boolean | Promise<boolean>;

/** Makes a walk of a generator, which yields after some records. */
export function stepping(generate: (visit: Visit) => AsyncGenerator<void>): Walk {
  return (visit) => {
    const generator = generate(visit);
    return async () => !(await generator.next()).done;
  };
}

/** The records of a walk, in arrays as they come. */
export class DecodedBatches<R> implements AsyncIterableIterator<readonly R[], undefined> {
  readonly #step: () => boolean | Promise<boolean>;
  #batch: R[] = [];
  #isOver = false;

  constructor(walk: Walk, codec: RecordCodec<R>) {
    this.#step = walk((bytes, start, end) => {
      this.#batch.push(codec.decode(bytes, start, end));
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<readonly R[], undefined>> {
    while (!this.#isOver) {
      const more = this.#step();
      this.#isOver = !(typeof more === "boolean" ? more : await more);
      const batch = this.#batch;
      if (batch.length === 0) continue;
      this.#batch = [];
      return { value: batch, done: false };
    }
    return { value: undefined, done: true };
  }

  async return(): Promise<IteratorResult<readonly R[], undefined>> {
    this.#isOver = true;
    return { value: undefined, done: true };
  }
}

/**
 * Yields the records of a walk end to end, unparsed: in pieces of up to 256 KiB, or single records of
 * up to 1 MiB. A piece is short where the walk pauses, such as for a pipe that nobody writes to, and where it visits
 * few records in a while, such as new ones in an endless source.
 */
export async function* unparsed(
  walk: Walk,
  codec: RecordCodec<unknown>,
): AsyncGenerator<Uint8Array> {
  const pieces = new PieceWriter();
  const visit: Visit = (bytes, start, end, isOwn) => {
    codec.checkBytes?.(bytes, start);
    if (end - start >= LONG_BYTES) pieces.lend(bytes.subarray(start, end));
    else if (isOwn && end - start >= OWN_BYTES) pieces.add(bytes.subarray(start, end));
    else pieces.write(bytes, start, end);
  };
  if (!codec.checkBytes) visit.joined = (records) => pieces.write(records, 0, records.length);
  const step = walk(visit);
  let taken = performance.now();
  for (;;) {
    const stepped = step();
    if (typeof stepped !== "boolean" && pieces.isOwn && !(await isSettledSoon(stepped))) {
      yield* pieces.takeAll();
    }
    if (!(await stepped)) break;
    if (performance.now() - taken < PAUSE) yield* pieces.takeFull();
    else {
      yield* pieces.takeAll();
      taken = performance.now();
    }
  }
  yield* pieces.takeAll();
}

/** Milliseconds after which records that wait for a piece to be full are handed on. */
const PAUSE = 100;

async function isSettledSoon(promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const pause = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PAUSE);
  });
  const settled = promise.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, pause]);
  } finally {
    clearTimeout(timer);
  }
}

/** Joins records to pieces. */
class PieceWriter {
  #piece: Uint8Array = NOTHING;
  #used = 0;
  #full: { readonly bytes: Uint8Array; readonly isLent: boolean }[] = [];

  /** Whether it holds bytes, none of which are lent. */
  get isOwn(): boolean {
    return this.#used > 0 && !this.#full.some(({ isLent }) => isLent);
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > this.#piece.length - this.#used) this.#begin(end - start);
    this.#piece.set(bytes.subarray(start, end), this.#used);
    this.#used += end - start;
  }

  /** Adds a piece that belongs to us, without a copy. */
  add(bytes: Uint8Array): void {
    this.#end();
    this.#full.push({ bytes, isLent: false });
  }

  /** Adds a piece that is valid until the walk goes on: it is copied in parts, as they are taken. */
  lend(bytes: Uint8Array): void {
    this.#end();
    this.#full.push({ bytes, isLent: true });
  }

  /** The first pieces are short, each four times the one before, because most groups are short. */
  #begin(length: number): void {
    const next = Math.max(FIRST_PIECE_BYTES, Math.min(PIECE_BYTES, 4 * this.#piece.length));
    this.#end();
    this.#piece = new Uint8Array(Buffer.allocUnsafeSlow(Math.max(next, length)).buffer);
  }

  #end(): void {
    if (this.#used > 0) {
      this.#full.push({ bytes: this.#piece.subarray(0, this.#used), isLent: false });
    }
    this.#piece = NOTHING;
    this.#used = 0;
  }

  *takeFull(): Generator<Uint8Array> {
    const full = this.#full;
    this.#full = [];
    for (const { bytes, isLent } of full) {
      if (!isLent) {
        yield bytes;
        continue;
      }
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        yield new Uint8Array(bytes.subarray(at, at + PIECE_BYTES));
      }
    }
  }

  takeAll(): Generator<Uint8Array> {
    this.#end();
    return this.takeFull();
  }
}

const NOTHING = new Uint8Array();
const FIRST_PIECE_BYTES = 1 << 10;
const PIECE_BYTES = 256 << 10;
/** Bytes of a record that becomes a piece of its own; shorter ones are copied into common pieces. */
const OWN_BYTES = 64 << 10;
