import type { RecordCodec } from "../source/input.js";

/** Takes a record: the array holds until it returns. */
export type Visit = (bytes: Uint8Array, start: number, end: number) => void;

/** Calls `visit` with each record in turn, and yields between two calls from time to time. */
export type Walk = (visit: Visit) => AsyncGenerator<void>;

/** The records of a walk, in arrays as they come. */
export async function* decoded<R>(walk: Walk, codec: RecordCodec<R>): AsyncGenerator<readonly R[]> {
  let batch: R[] = [];
  const visit: Visit = (bytes, start, end) => {
    batch.push(codec.decode(bytes, start, end));
  };
  for await (const _ of walk(visit)) {
    if (batch.length === 0) continue;
    const full = batch;
    batch = [];
    yield full;
  }
  if (batch.length > 0) yield batch;
}

/** The records of a walk end to end, unparsed, in pieces of 64 KiB or one record. */
export async function* unparsed(
  walk: Walk,
  codec: RecordCodec<unknown>,
): AsyncGenerator<Uint8Array> {
  const pieces = new PieceWriter();
  const visit: Visit = (bytes, start, end) => {
    codec.checkBytes(bytes, start);
    pieces.write(bytes, start, end);
  };
  for await (const _ of walk(visit)) yield* pieces.takeFull();
  yield* pieces.takeAll();
}

class PieceWriter {
  #piece = new Uint8Array(PIECE_BYTES);
  #used = 0;
  #full: Uint8Array[] = [];

  write(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > this.#piece.length - this.#used) {
      if (this.#used > 0) this.#full.push(this.#piece.subarray(0, this.#used));
      this.#piece = new Uint8Array(Math.max(PIECE_BYTES, end - start));
      this.#used = 0;
    }
    this.#piece.set(bytes.subarray(start, end), this.#used);
    this.#used += end - start;
  }

  takeFull(): Uint8Array[] {
    const full = this.#full;
    this.#full = [];
    return full;
  }

  takeAll(): Uint8Array[] {
    const all = this.takeFull();
    if (this.#used > 0) all.push(this.#piece.subarray(0, this.#used));
    return all;
  }
}

const PIECE_BYTES = 64 << 10;
