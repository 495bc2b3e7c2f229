import { PartdError } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import type { Segment } from "../data-set/segment.js";
import { CHUNK } from "../format/tail.js";
import type { Requests } from "../objects/requests.js";
import { type FetchOptions, fetchAll, type Target } from "./fetch.js";
import type { Piece } from "./read-plan.js";

/** The value of a key, piece by piece, of which the next one is read ahead. */
export class ValueStream implements AsyncIterable<Uint8Array> {
  readonly #requests: Requests;
  readonly #key: string;
  readonly #pieces: readonly Piece[];
  readonly #options: FetchOptions;
  readonly #onEnd: (stream: ValueStream) => void;
  #piece = 0;
  /** Bytes of the piece that were asked for. */
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
        ahead?.catch(() => {}); // Told when its turn comes, if it does.
        yield bytes;
      }
    } catch (error) {
      throw this.#isClosed ? closed() : error;
    } finally {
      this.#onEnd(this);
    }
  }

  /** What it may still read. */
  get segments(): Segment[] {
    return this.#pieces.map(({ segment }) => segment);
  }

  /** The store is closed: what was not given yet is not given. */
  close(): void {
    this.#isClosed = true;
  }

  /** Begins to read what comes next. */
  #next(): Promise<Uint8Array> | undefined {
    const wanted: Wanted[] = [];
    let byteLength = 0;
    while (byteLength < STEP && this.#piece < this.#pieces.length) {
      const piece = this.#pieces[this.#piece] as Piece;
      const from = this.#from;
      const left = piece.length - from;
      const room = Math.max(CHUNK, STEP - byteLength);
      // Whole chunks, which have checksums, unless it is the rest.
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

/** Bytes that are read at a time, about. */
const STEP = 4 * 2 ** 20;

export function closed(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store was closed while it was read.");
}
