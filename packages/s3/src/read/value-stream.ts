import { PartdError } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import type { Segment } from "../data-set/segment.js";
import { CHUNK } from "../format/tail.js";
import type { Requests } from "../objects/requests.js";
import { type FetchOptions, fetchAll, type Target } from "./fetch.js";
import type { Piece } from "./read-plan.js";

/** A key's value, piece by piece; the next piece is read ahead. */
export class ValueStream implements AsyncIterable<Uint8Array> {
  readonly #requests: Requests;
  readonly #key: string;
  readonly #pieces: readonly Piece[];
  readonly #options: FetchOptions;
  readonly #onEnd: (stream: ValueStream) => void;
  #piece = 0;
  /** Bytes of the piece that were requested. */
  #from = 0;
  #isClosed = false;

  constructor(
    requests: Requests,
    key: string,
    pieces: readonly Piece[],
    options: FetchOptions,
    onEnd: (stream: ValueStream) => void,
  ) {
    this.#requests = requests;
    this.#key = key;
    this.#pieces = pieces;
    this.#options = options;
    this.#onEnd = onEnd;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      let ahead = this.#next();
      while (ahead) {
        const bytes = await ahead;
        if (this.#isClosed) throw closed();
        ahead = this.#next();
        ahead?.catch(() => {}); // The error is thrown when its turn comes.
        yield bytes;
      }
    } catch (error) {
      throw this.#isClosed ? closed() : error;
    } finally {
      this.#onEnd(this);
    }
  }

  /** The segments that it may still read. */
  get segments(): Segment[] {
    return this.#pieces.map(({ segment }) => segment);
  }

  /** Ends the stream, because the store was closed. */
  close(): void {
    this.#isClosed = true;
  }

  /** Begins to read the next bytes. */
  #next(): Promise<Uint8Array> | undefined {
    const wanted: Wanted[] = [];
    let byteLength = 0;
    while (byteLength < STEP && this.#piece < this.#pieces.length) {
      const piece = this.#pieces[this.#piece] as Piece;
      const from = this.#from;
      const left = piece.length - from;
      const room = Math.max(CHUNK, STEP - byteLength);
      // Whole chunks, because checksums cover these, except at the end.
      const length = left <= room ? left : room - (room % CHUNK);
      wanted.push({ key: this.#key, piece, from, length });
      byteLength += length;
      this.#from += length;
      if (this.#from < piece.length) continue;
      this.#piece++;
      this.#from = 0;
    }
    return byteLength === 0 ? undefined : this.#read(wanted, byteLength);
  }

  async #read(wanted: readonly Wanted[], byteLength: number): Promise<Uint8Array> {
    const bytes = allocateBytes(byteLength);
    let at = 0;
    const targets = wanted.map(({ length, ...target }) => {
      at += length;
      return { ...target, into: bytes.subarray(at - length, at) };
    });
    await fetchAll(this.#requests, targets, this.#options);
    return bytes;
  }
}

type Wanted = Omit<Target, "into"> & { readonly length: number };

/** The approximate bytes of one step. */
const STEP = 4 * 2 ** 20;

export function closed(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store was closed while it was read.");
}
