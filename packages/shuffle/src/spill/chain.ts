import { createHash } from "node:crypto";
import type { Block } from "./block.js";
import { align, END_OF_BLOCK, HEADER_BYTES } from "./frame.js";
import { sameBytes } from "./same-bytes.js";
import type { Tape } from "./tape.js";

/** The memory that chains share. A `Workspace` is one. */
export interface ChainMemory {
  readonly blockSize: number;
  readonly signal: AbortSignal | undefined;
  /** Makes room for `count` blocks; `undefined` if there is room already. */
  reserve(count: number): Promise<void> | undefined;
  take(): Block;
  release(blocks: readonly Block[]): void;
  /** The chain is discarded. */
  forget(chain: Chain): void;
}

/**
 * Frames in the order in which they were appended. The oldest blocks may lie on a tape, the others in
 * memory; the workspace decides which.
 */
export class Chain {
  readonly #memory: ChainMemory;
  /** Blocks on the tape, which come before those in memory. */
  tapeBlocks = 0;
  tape: Tape | undefined;
  /** The blocks in memory, oldest first; the last one may have room. */
  readonly blocks: Block[] = [];
  /** Used bytes of the last block. */
  #used: number;
  /** Keeps the workspace from spilling this chain. */
  pinned = false;
  /** Whether a spill of the oldest blocks is under way. */
  spilling: Promise<void> | undefined;

  records = 0;
  /** Bytes of keys and records. */
  byteLength = 0;
  /** Bytes of the longest key with its record. */
  longest = 0;

  /** Whether all frames have the same key. Unknown for a restored chain, where it stays true. */
  isUniform = true;
  #firstKey: FirstKey | undefined;
  /**
   * The hash that more than half of the bytes have, if there is one: a Boyer-Moore majority vote. When
   * a chain is split again, this hash gets a chain of its own, so that a giant group is moved once, and
   * not at each level.
   */
  majorityLow = 0;
  majorityHigh = 0;
  #votes = 0;

  constructor(memory: ChainMemory) {
    this.#memory = memory;
    this.#used = memory.blockSize;
  }

  /** Blocks in memory and on the tape. */
  get length(): number {
    return this.tapeBlocks + this.blocks.length;
  }

  /**
   * Adds a frame; key and record are parts of two arrays. The workspace must have room for it, see
   * {@link ChainMemory.reserve}. `low` and `high` are unsigned.
   */
  append(
    keys: Uint8Array,
    keyStart: number,
    keyEnd: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    low: number,
    high: number,
  ): void {
    this.#begin(end - start, keyEnd - keyStart, low, high);
    this.#write(keys, keyStart, keyEnd);
    this.#write(bytes, start, end);
    this.#used = align(this.#used);
    this.#vote(keys, keyStart, keyEnd, end - start, low, high);
  }

  /** The same for a record of any length: makes room for it piece by piece. */
  async appendLarge(
    keys: Uint8Array,
    keyStart: number,
    keyEnd: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    low: number,
    high: number,
  ): Promise<void> {
    this.#begin(end - start, keyEnd - keyStart, low, high);
    await this.#writeLarge(keys, keyStart, keyEnd);
    await this.#writeLarge(bytes, start, end);
    this.#used = align(this.#used);
    this.#vote(keys, keyStart, keyEnd, end - start, low, high);
  }

  /** Writes the header of a frame, in a block that has room for it. */
  #begin(recordLength: number, keyLength: number, low: number, high: number): void {
    const { blockSize } = this.#memory;
    const start = this.#used + HEADER_BYTES;
    // A short key lies in one block, so that it can be read without joining the frame's parts.
    if (start > blockSize || (start + keyLength > blockSize && keyLength <= this.#shortKey)) {
      this.seal();
      this.#grow();
    }
    const { words } = this.blocks[this.blocks.length - 1]!;
    const word = this.#used >>> 2;
    words[word] = recordLength;
    words[word + 1] = keyLength;
    words[word + 2] = low;
    words[word + 3] = high;
    this.#used += HEADER_BYTES;
  }

  /** The longest key that is kept in one block, at the cost of leaving the end of the block before unused. */
  get #shortKey(): number {
    return this.#memory.blockSize >>> 3;
  }

  #grow(): void {
    this.blocks.push(this.#memory.take());
    this.#used = 0;
  }

  #write(source: Uint8Array, start: number, end: number): void {
    const { blockSize } = this.#memory;
    let from = start;
    while (from < end) {
      if (this.#used === blockSize) this.#grow();
      const { bytes } = this.blocks[this.blocks.length - 1]!;
      const length = Math.min(end - from, blockSize - this.#used);
      copy(source, from, bytes, this.#used, length);
      this.#used += length;
      from += length;
    }
  }

  async #writeLarge(source: Uint8Array, start: number, end: number): Promise<void> {
    const step = PIECE_BLOCKS * this.#memory.blockSize;
    for (let from = start; from < end; from += step) {
      await this.#memory.reserve(PIECE_BLOCKS + 1);
      this.#write(source, from, Math.min(end, from + step));
    }
  }

  #vote(
    keys: Uint8Array,
    keyStart: number,
    keyEnd: number,
    recordLength: number,
    low: number,
    high: number,
  ): void {
    const cost = keyEnd - keyStart + recordLength;
    this.records++;
    this.byteLength += cost;
    if (cost > this.longest) this.longest = cost;
    if (low === this.majorityLow && high === this.majorityHigh) this.#votes += cost;
    else if (this.#votes > cost) this.#votes -= cost;
    else {
      this.majorityLow = low;
      this.majorityHigh = high;
      this.#votes = cost - this.#votes;
    }
    if (!this.isUniform) return;
    this.#firstKey ??= new FirstKey(keys.subarray(keyStart, keyEnd));
    this.isUniform = this.#firstKey.equals(keys, keyStart, keyEnd);
  }

  /** Ends the last block: every block can be read and spilled, and the next frame begins a new one. */
  seal(): void {
    const last = this.blocks[this.blocks.length - 1];
    if (last && this.#used < this.#memory.blockSize) last.words[this.#used >>> 2] = END_OF_BLOCK;
    this.#used = this.#memory.blockSize;
  }

  /** Restores a chain that is already on a tape. */
  restore(tape: Tape, tapeBlocks: number, { records, byteLength, longest }: ChainLengths): void {
    this.tape = tape;
    this.tapeBlocks = tapeBlocks;
    this.records = records;
    this.byteLength = byteLength;
    this.longest = longest;
  }

  /** Blocks that could be spilled now. The last one counts only once the chain is sealed. */
  get spillable(): number {
    if (this.pinned || this.spilling) return 0;
    const { length } = this.blocks;
    return this.#used === this.#memory.blockSize ? length : Math.max(0, length - 1);
  }

  /** Blocks whose arrays no one holds. */
  get movable(): readonly Block[] {
    return this.pinned || this.spilling ? [] : this.blocks;
  }

  /** Loads every block into memory, and keeps it there. */
  async load(): Promise<readonly Block[]> {
    this.seal();
    while (this.spilling) await this.spilling;
    this.pinned = true;
    if (this.tape && this.tapeBlocks > 0) {
      await this.#memory.reserve(this.tapeBlocks);
      const read: Block[] = [];
      while (read.length < this.tapeBlocks) read.push(this.#memory.take());
      try {
        for (let from = 0; from < read.length; from += READ_AT_ONCE) {
          await this.tape.read(from, read.slice(from, from + READ_AT_ONCE));
          this.#memory.signal?.throwIfAborted();
        }
      } catch (error) {
        this.#memory.release(read);
        throw error;
      }
      this.blocks.unshift(...read);
      const tape = this.tape;
      this.tape = undefined;
      this.tapeBlocks = 0;
      await tape.discard();
    }
    return this.blocks;
  }

  /** Frees everything that the chain holds. */
  async discard(): Promise<void> {
    this.pinned = true;
    while (this.spilling) await this.spilling.catch(() => {});
    this.#memory.release(this.blocks.splice(0));
    this.#memory.forget(this);
    const tape = this.tape;
    this.tape = undefined;
    this.tapeBlocks = 0;
    await tape?.discard();
  }
}

/**
 * The first key of a chain, or the digest of a long one: for five keys of 20 MB, copies would take 100 MB
 * besides the chains.
 */
class FirstKey {
  readonly #length: number;
  readonly #bytes: Uint8Array;

  constructor(key: Uint8Array) {
    this.#length = key.length;
    this.#bytes = key.length < DIGESTED_KEY ? new Uint8Array(key) : digestOf(key);
  }

  equals(keys: Uint8Array, start: number, end: number): boolean {
    if (end - start !== this.#length) return false;
    const bytes = this.#bytes;
    if (this.#length < DIGESTED_KEY) return sameBytes(bytes, 0, bytes.length, keys, start, end);
    return sameBytes(bytes, 0, bytes.length, digestOf(keys.subarray(start, end)), 0, bytes.length);
  }
}

/** From this length on, the digest stands for the key. */
const DIGESTED_KEY = 64 << 10;

function digestOf(key: Uint8Array): Uint8Array {
  return createHash("sha256").update(key).digest();
}

/** What is known of a chain whose blocks are all on a tape. */
type ChainLengths = Pick<Chain, "records" | "byteLength" | "longest">;

/** Blocks of a large record that are written at a time. */
const PIECE_BLOCKS = 4;

/** Blocks that are read at once: few enough to notice an abort, enough to be worth a call. */
const READ_AT_ONCE = 64;

/**
 * Copies short runs in a loop: a call of `set` with its `subarray` costs 80 ns, as much as copying 60
 * bytes.
 */
function copy(
  source: Uint8Array,
  start: number,
  target: Uint8Array,
  offset: number,
  length: number,
): void {
  if (length > 48) {
    target.set(source.subarray(start, start + length), offset);
    return;
  }
  for (let i = 0; i < length; i++) target[offset + i] = source[start + i]!;
}
