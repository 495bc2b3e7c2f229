import { releaseBytes } from "@partd/core/author";
import { BatchWriter, batchOfOne, type KeyedBatch } from "../source/keyed-batch.js";
import type { Block } from "./block.js";
import type { Chain } from "./chain.js";
import { align, END_OF_BLOCK, HEADER_BYTES, LONG_BYTES, longArray } from "./frame.js";
import type { Workspace } from "./workspace.js";

export interface ChainReaderOptions {
  /** Blocks that are read from a tape at a time. Default: 2 MiB, if memory has room. */
  readonly ahead?: number;
  /** Whether blocks are given back as soon as they have been read. Default: false. */
  readonly consume?: boolean;
  /**
   * Whether a frame of several blocks is available as soon as its first block is: {@link ChainReader.whole}
   * reads the rest. Default: false.
   */
  readonly keysFirst?: boolean;
}

/**
 * Reads a chain from its start, one frame at a time:
 *
 * ```ts
 * while (await reader.advance()) while (reader.next()) use(reader.bytes, reader.keyStart, …);
 * ```
 *
 * The chain is pinned and must not grow. `bytes` is valid until the next `advance`.
 */
export class ChainReader {
  readonly #workspace: Workspace;
  readonly #chain: Chain;
  readonly #ahead: number;
  readonly #consume: boolean;
  readonly #keysFirst: boolean;

  /** Where key and record of the present frame lie: the record is from `keyEnd` to `end`. */
  bytes: Uint8Array = NOTHING;
  keyStart = 0;
  keyEnd = 0;
  end = 0;
  low = 0;
  high = 0;
  /** Whether the whole key is there, and not only its beginning: see {@link keyPieces}. */
  isKeyWhole = true;
  /** Whether `bytes` holds only this frame, and may be kept. */
  isOwn = false;
  /** Whether `bytes` holds only this frame, which is long, and is freed when the frame is left. */
  isLong = false;

  #isBegun = false;
  /** Blocks of the chain that have been in `#block`. */
  #position = 0;
  #block: Block | undefined;
  #offset = 0;
  /** The lengths of the present frame's key and record, of which only the beginning has been read. */
  #unread: { readonly keyLength: number; readonly recordLength: number } | undefined;
  /** Bytes of the present frame's own array, which is charged if it is long or frames are merged. */
  #charged = 0;
  /** The part read so far of a frame that goes on in the next block. */
  #partial: Uint8Array | undefined;
  #filled = 0;

  /** Blocks from the tape that are not parsed yet, and those being read. */
  #window: Block[] = [];
  #fetching: Promise<Block[]> | undefined;
  /** Blocks of the tape that have been requested. */
  #fetched = 0;

  constructor(workspace: Workspace, chain: Chain, options: ChainReaderOptions = {}) {
    this.#workspace = workspace;
    this.#chain = chain;
    this.#ahead =
      options.ahead ??
      Math.max(1, Math.min(workspace.blocksFor(2 << 20), workspace.capacity >>> 4));
    this.#consume = options.consume ?? false;
    this.#keysFirst = options.keysFirst ?? false;
    chain.seal();
    chain.pinned = true;
  }

  /** Where the record begins. */
  get start(): number {
    return this.keyEnd;
  }

  /** The array of the key. */
  get keys(): Uint8Array {
    return this.bytes;
  }

  /** Goes to the next available frame. @returns false if more has to be read first. */
  next(): boolean {
    const block = this.#block;
    if (!block) return false;
    if (this.#partial) return this.#continue(block);
    if (this.isLong || this.#charged > 0) this.leaveFrame();
    const offset = this.#offset;
    if (offset + HEADER_BYTES > block.bytes.length) return false;
    const word = offset >>> 2;
    const recordLength = block.words[word]!;
    if (recordLength === END_OF_BLOCK) return false;
    const keyLength = block.words[word + 1]!;
    this.low = block.words[word + 2]!;
    this.high = block.words[word + 3]!;
    const start = offset + HEADER_BYTES;
    const end = start + keyLength + recordLength;
    if (end <= block.bytes.length || this.#keysFirst) {
      this.bytes = block.bytes;
      this.isOwn = false;
      this.keyStart = start;
      this.keyEnd = start + keyLength;
      this.end = end;
      this.#offset = align(end);
      this.isKeyWhole = true;
      if (end > block.bytes.length) this.#beginUnread(block, start, keyLength, recordLength);
      return true;
    }
    this.#offset = start;
    this.#beginPartial(keyLength, recordLength);
    return this.#continue(block);
  }

  #beginUnread(block: Block, start: number, keyLength: number, recordLength: number): void {
    this.#offset = start;
    this.#unread = { keyLength, recordLength };
    this.isKeyWhole = this.keyEnd <= block.bytes.length;
    this.keyEnd = Math.min(this.keyEnd, block.bytes.length);
  }

  /** Reads the present frame, if only its beginning has been read. */
  whole(): Promise<unknown> | undefined {
    if (!this.#unread) return undefined;
    const { keyLength, recordLength } = this.#unread;
    this.#unread = undefined;
    this.isKeyWhole = true;
    this.#beginPartial(keyLength, recordLength);
    return this.read();
  }

  /** Yields the present frame's key in pieces, each valid until the next one. The reader stays where it is. */
  async *keyPieces(): AsyncGenerator<Uint8Array> {
    const chain = this.#chain;
    if (this.keyEnd > this.keyStart) yield this.bytes.subarray(this.keyStart, this.keyEnd);
    let left = (this.#unread?.keyLength ?? 0) - (this.keyEnd - this.keyStart);
    if (left <= 0) return;
    await this.#fetching?.catch(() => {}); // A tape of a store reads one thing at a time.
    // Of a chain that is consumed, the blocks before the present one are gone.
    const firstInMemory = Math.max(chain.tapeBlocks, this.#consume ? this.#position - 1 : 0);
    const spare = this.#workspace.take();
    try {
      for (let position = this.#position; left > 0; position++) {
        const isOnTape = position < chain.tapeBlocks;
        if (isOnTape) await chain.tape!.read(position, [spare]);
        const { bytes } = isOnTape ? spare : chain.blocks[position - firstInMemory]!;
        yield bytes.subarray(0, left);
        left -= bytes.length;
      }
    } finally {
      this.#workspace.release([spare]);
    }
  }

  #beginPartial(keyLength: number, recordLength: number): void {
    const isLong = keyLength + recordLength >= LONG_BYTES;
    if (this.#keysFirst || isLong) this.#charge(keyLength + recordLength);
    this.#partial = longArray(keyLength + recordLength);
    this.#filled = 0;
    this.keyStart = 0;
    this.keyEnd = keyLength;
    this.end = keyLength + recordLength;
  }

  #charge(bytes: number): void {
    this.#workspace.chargeRecord(bytes - this.#charged);
    this.#charged = bytes;
  }

  #continue(block: Block): boolean {
    const partial = this.#partial!;
    const length = Math.min(partial.length - this.#filled, block.bytes.length - this.#offset);
    partial.set(block.bytes.subarray(this.#offset, this.#offset + length), this.#filled);
    this.#filled += length;
    this.#offset += length;
    if (this.#filled < partial.length) return false;
    this.#offset = align(this.#offset);
    this.bytes = partial;
    this.isLong = partial.length >= LONG_BYTES;
    this.isOwn = !this.isLong;
    this.#partial = undefined;
    return true;
  }

  /** Goes to the next frame, and reads what that takes. @returns false at the end. */
  async read(): Promise<boolean> {
    if (this.next()) return true;
    while (await this.advance()) if (this.next()) return true;
    return false;
  }

  /** Goes to the next block. @returns false at the end. */
  async advance(): Promise<boolean> {
    this.#workspace.signal?.throwIfAborted();
    this.#leaveBlock();
    const chain = this.#chain;
    if (!this.#isBegun) {
      this.#isBegun = true;
      await this.#workspace.makeRoomToRead([chain]);
    }
    while (chain.spilling) await chain.spilling;
    if (this.#position < chain.tapeBlocks) {
      if (this.#window.length === 0) {
        this.#window = await (this.#fetching ?? this.#fetch());
        this.#fetching = undefined;
        this.#fetchAhead();
      }
      this.#block = this.#window.shift()!;
    } else {
      const index = this.#consume ? 0 : this.#position - chain.tapeBlocks;
      this.#block = chain.blocks[index];
      if (!this.#block) return false;
    }
    this.#position++;
    this.#offset = 0;
    return true;
  }

  /** Forgets the frame's own array. A long one is freed; others may have been kept by the caller. */
  leaveFrame(): void {
    if (this.isLong) releaseBytes(this.bytes as Uint8Array<ArrayBuffer>);
    this.isLong = false;
    this.bytes = NOTHING;
    this.isOwn = false;
    if (this.#charged > 0) this.#charge(0);
  }

  #leaveBlock(): void {
    const block = this.#block;
    if (!block) return;
    this.#block = undefined;
    if (this.#position <= this.#chain.tapeBlocks) this.#workspace.release([block]);
    else if (this.#consume) this.#workspace.release([this.#chain.blocks.shift()!]);
  }

  #fetchAhead(): void {
    if (this.#fetched === this.#chain.tapeBlocks) return;
    if (this.#workspace.reserve(this.#ahead)) return; // No room: read it when it is needed.
    this.#fetching = this.#fetch();
    this.#fetching.catch(() => {}); // The next advance rejects with it.
  }

  async #fetch(): Promise<Block[]> {
    const count = Math.min(this.#ahead, this.#chain.tapeBlocks - this.#fetched);
    await this.#workspace.reserve(count);
    const blocks: Block[] = [];
    while (blocks.length < count) blocks.push(this.#workspace.take());
    const from = this.#fetched;
    this.#fetched += count;
    try {
      await this.#chain.tape!.read(from, blocks);
      return blocks;
    } catch (error) {
      this.#workspace.release(blocks);
      throw error;
    }
  }

  /** All frames in batches of a block or a large frame. */
  async *batches(): AsyncGenerator<KeyedBatch> {
    const batch = new BatchWriter();
    while (await this.advance()) {
      while (this.next()) {
        const { bytes, keyStart, keyEnd, end, low, high } = this;
        if (this.isLong) {
          if (batch.count > 0) yield batch;
          batch.clear();
          yield batchOfOne(this, low, high);
          this.leaveFrame();
          continue;
        }
        batch.addRecord(bytes.subarray(keyEnd, end));
        batch.add(bytes, keyStart, keyEnd, low, high);
        if (!batch.isFull) continue;
        yield batch;
        batch.clear();
      }
    }
    if (batch.count > 0) yield batch;
  }

  /** Frees the blocks that were read ahead. The chain stays as it is. */
  async close(): Promise<void> {
    this.leaveFrame();
    this.#partial = undefined;
    this.#leaveBlock();
    this.#workspace.release(this.#window.splice(0));
    const fetching = this.#fetching;
    this.#fetching = undefined;
    if (fetching) this.#workspace.release(await fetching.catch(() => []));
  }
}

const NOTHING = new Uint8Array();
