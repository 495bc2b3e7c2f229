import type { RecordCodec } from "../source/input.js";
import type { LoadedChain } from "../spill/loaded-chain.js";

/** Receives the results of a join. */
export interface JoinSink {
  /** Another part of the right side begins. */
  begin(): void;
  /** Takes the record on the left that the next calls concern. Its bytes are valid until another is taken. */
  take(bytes: Uint8Array, start: number, end: number): void;
  /** Adds the pair of the record on the left and this one. */
  pair(right: LoadedChain): void;
  /** Adds the pair of the record on the left and nothing. */
  unmatchedLeft(): void;
  /** Adds the pair of nothing and this record. */
  unmatchedRight(right: LoadedChain): void;
  /** Adds the record on the left by itself. */
  alone(): void;
  /** Whether it holds so much that the caller should empty it. */
  readonly isFull: boolean;
}

/** Parses the records, and makes pairs of them. */
export class ParsingSink implements JoinSink {
  items: unknown[] = [];
  readonly #left: RecordCodec<unknown>;
  readonly #right: DecodedCache;
  #bytes: Uint8Array = new Uint8Array();
  #start = 0;
  #end = 0;
  #record: unknown;
  #isParsed = false;

  /** @param keptBytes bytes of records on the right that stay parsed. */
  constructor(left: RecordCodec<unknown>, right: RecordCodec<unknown>, keptBytes: number) {
    this.#left = left;
    this.#right = new DecodedCache(right, keptBytes);
  }

  begin(): void {
    this.#right.forget();
  }

  take(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#isParsed = false;
  }

  get #taken(): unknown {
    if (!this.#isParsed) {
      this.#record = this.#left.decode(this.#bytes, this.#start, this.#end);
      this.#isParsed = true;
    }
    return this.#record;
  }

  pair(right: LoadedChain): void {
    this.items.push([this.#taken, this.#right.get(right)]);
  }

  unmatchedLeft(): void {
    this.items.push([this.#taken, undefined]);
  }

  unmatchedRight(right: LoadedChain): void {
    this.items.push([undefined, this.#right.get(right)]);
  }

  alone(): void {
    this.items.push(this.#taken);
  }

  get isFull(): boolean {
    return this.items.length >= 512;
  }
}

/**
 * Keeps records on the right decoded, because a few of them are in most pairs. Pairs may share such a
 * record.
 */
class DecodedCache {
  readonly #codec: RecordCodec<unknown>;
  readonly #mostBytes: number;
  readonly #addresses = new Float64Array(SLOTS).fill(-1);
  readonly #records: unknown[] = new Array(SLOTS);
  /** Bytes of each record; parsed, it takes about three times as much. */
  readonly #lengths = new Uint16Array(SLOTS);
  #bytes = 0;

  constructor(codec: RecordCodec<unknown>, mostBytes: number) {
    this.#codec = codec;
    this.#mostBytes = mostBytes;
  }

  /** Forgets everything: addresses belong to another chain from now on. */
  forget(): void {
    this.#addresses.fill(-1);
    this.#records.fill(undefined);
    this.#lengths.fill(0);
    this.#bytes = 0;
  }

  get({ address, bytes, keyEnd, end }: LoadedChain): unknown {
    if (end - keyEnd > LONGEST) return this.#codec.decode(bytes, keyEnd, end);
    const slot = Math.imul(address, 0x9e3779b1) >>> SHIFT;
    if (this.#addresses[slot] !== address) {
      if (this.#bytes > this.#mostBytes) this.forget();
      this.#bytes += end - keyEnd - this.#lengths[slot]!;
      this.#lengths[slot] = end - keyEnd;
      this.#addresses[slot] = address;
      this.#records[slot] = this.#codec.decode(bytes, keyEnd, end);
    }
    return this.#records[slot];
  }
}

/**
 * Of two million pairs with 98,603 users, 1.11 million had to parse the user again with 2^12 slots, and
 * 0.33 million with 2^16.
 */
const SHIFT = 32 - 16;
const SLOTS = 1 << 16;
/** Bytes of the longest record that stays decoded. */
const LONGEST = 1 << 10;

/**
 * Writes a line of JSON `[left,right]` for each pair, with `null` for a missing side; a single record
 * as it is.
 */
export class LineSink implements JoinSink {
  /** Full pieces. */
  pieces: Uint8Array[] = [];
  readonly #left: RecordCodec<unknown>;
  readonly #right: RecordCodec<unknown>;
  #piece: Uint8Array = NOTHING;
  #used = 0;
  #bytes: Uint8Array = new Uint8Array();
  #start = 0;
  #end = 0;

  constructor(left: RecordCodec<unknown>, right: RecordCodec<unknown>) {
    this.#left = left;
    this.#right = right;
  }

  begin(): void {}

  take(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  pair({ bytes, keyEnd, end }: LoadedChain): void {
    this.#left.checkBytes?.(this.#bytes, this.#start);
    this.#right.checkBytes?.(bytes, keyEnd);
    this.#line(this.#bytes, this.#start, this.#end, bytes, keyEnd, end);
  }

  unmatchedLeft(): void {
    this.#left.checkBytes?.(this.#bytes, this.#start);
    this.#line(this.#bytes, this.#start, this.#end, NULL, 0, NULL.length);
  }

  unmatchedRight({ bytes, keyEnd, end }: LoadedChain): void {
    this.#right.checkBytes?.(bytes, keyEnd);
    this.#line(NULL, 0, NULL.length, bytes, keyEnd, end);
  }

  alone(): void {
    this.#left.checkBytes?.(this.#bytes, this.#start);
    this.#makeRoom(this.#end - this.#start);
    this.#write(this.#bytes, this.#start, this.#end);
  }

  #line(
    left: Uint8Array,
    leftStart: number,
    leftEnd: number,
    right: Uint8Array,
    rightStart: number,
    rightEnd: number,
  ): void {
    this.#makeRoom(leftEnd - leftStart + rightEnd - rightStart + 4);
    this.#piece[this.#used++] = OPEN_BRACKET;
    this.#write(left, leftStart, left[leftEnd - 1] === LF ? leftEnd - 1 : leftEnd);
    this.#piece[this.#used++] = COMMA;
    this.#write(right, rightStart, right[rightEnd - 1] === LF ? rightEnd - 1 : rightEnd);
    this.#piece[this.#used++] = CLOSE_BRACKET;
    this.#piece[this.#used++] = LF;
  }

  #write(bytes: Uint8Array, start: number, end: number): void {
    this.#piece.set(bytes.subarray(start, end), this.#used);
    this.#used += end - start;
  }

  #makeRoom(length: number): void {
    if (length <= this.#piece.length - this.#used) return;
    this.end();
    this.#piece = new Uint8Array(Buffer.allocUnsafeSlow(Math.max(PIECE_BYTES, length)).buffer);
  }

  /** Ends the piece that is not full. */
  end(): void {
    if (this.#used > 0) this.pieces.push(this.#piece.subarray(0, this.#used));
    this.#piece = NOTHING;
    this.#used = 0;
  }

  get isFull(): boolean {
    return this.pieces.length > 0;
  }
}

const NOTHING = new Uint8Array();
const NULL = new TextEncoder().encode("null");
/** Bytes of a piece, unless one line is longer. */
const PIECE_BYTES = 256 << 10;
const LF = 0x0a;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
