import { releaseBytes } from "@partd/core/author";
import type { Block } from "./block.js";
import { align, END_OF_BLOCK, HEADER_BYTES, LONG_BYTES, longArray } from "./frame.js";

/**
 * The frames of a chain that is wholly in memory, by address: a frame's offset in the chain, in units
 * of 8 bytes, so that 32 bits reach 32 GiB.
 */
export class LoadedChain {
  readonly #blocks: readonly Block[];
  readonly #blockSize: number;
  readonly #shift: number;

  /** The key and record of the current frame: the record is from `keyEnd` to `end`. */
  bytes: Uint8Array<ArrayBuffer> = NOTHING;
  keyStart = 0;
  keyEnd = 0;
  end = 0;
  low = 0;
  high = 0;
  address = 0;
  readonly isOwn = false;
  /** The address of the following frame. */
  following = 0;
  /** The block in which the current frame begins. */
  #index = 0;
  #keyLength = 0;
  #recordLength = 0;
  /** The array of the current frame, if it is long and lies in several blocks. */
  #joined: Uint8Array<ArrayBuffer> | undefined;

  constructor(blocks: readonly Block[], blockSize: number) {
    this.#blocks = blocks;
    this.#blockSize = blockSize;
    this.#shift = 31 - Math.clz32(blockSize);
  }

  /**
   * Goes to the frame at `address`, or the first one behind it; frees the frame before, if it is long.
   *
   * @returns false if there is none.
   */
  look(address: number): boolean {
    if (this.#joined) this.leave();
    if (!this.#find(address)) return false;
    this.keyEnd = this.keyStart + this.#keyLength;
    this.end = this.keyEnd + this.#recordLength;
    if (this.end <= this.#blockSize) return true;
    this.bytes = this.#joinBlocks(this.keyStart, this.#keyLength + this.#recordLength);
    if (this.bytes.length >= LONG_BYTES) this.#joined = this.bytes;
    this.keyStart = 0;
    this.keyEnd = this.#keyLength;
    this.end = this.bytes.length;
    return true;
  }

  /** The same for the key alone: the record cannot be read. */
  lookAtKey(address: number): boolean {
    if (!this.#find(address)) return false;
    this.keyEnd = this.keyStart + this.#keyLength;
    this.end = this.keyEnd + this.#recordLength;
    if (this.keyEnd <= this.#blockSize) return true;
    this.bytes = this.#joinBlocks(this.keyStart, this.#keyLength);
    this.keyStart = 0;
    this.keyEnd = this.#keyLength;
    return true;
  }

  /** Frees the current frame, if it is long. */
  leave(): void {
    if (!this.#joined) return;
    releaseBytes(this.#joined);
    this.#joined = undefined;
    this.bytes = NOTHING;
  }

  /** Reads the header of a frame, whose key begins at `keyStart` of the block in `bytes`. */
  #find(address: number): boolean {
    let index = address >>> (this.#shift - 3);
    let offset = (address & (this.#blockSize / 8 - 1)) * 8;
    let block = this.#blocks[index];
    while (
      block &&
      (offset + HEADER_BYTES > this.#blockSize || block.words[offset >>> 2] === END_OF_BLOCK)
    ) {
      block = this.#blocks[++index];
      offset = 0;
    }
    if (!block) return false;
    this.address = (index * this.#blockSize + offset) / 8;
    const word = offset >>> 2;
    this.#recordLength = block.words[word]!;
    this.#keyLength = block.words[word + 1]!;
    this.low = block.words[word + 2]!;
    this.high = block.words[word + 3]!;
    this.#index = index;
    this.bytes = block.bytes;
    this.keyStart = offset + HEADER_BYTES;
    const end = this.keyStart + this.#keyLength + this.#recordLength;
    this.following = (index * this.#blockSize + align(end)) / 8;
    return true;
  }

  /** @param from counts from the start of the current frame's block. */
  #joinBlocks(from: number, byteLength: number): Uint8Array<ArrayBuffer> {
    const joined = longArray(byteLength);
    let index = this.#index + Math.floor(from / this.#blockSize);
    let offset = from % this.#blockSize;
    let filled = 0;
    while (filled < byteLength) {
      if (offset === this.#blockSize) {
        index++;
        offset = 0;
      }
      const length = Math.min(byteLength - filled, this.#blockSize - offset);
      joined.set(this.#blocks[index]!.bytes.subarray(offset, offset + length), filled);
      filled += length;
      offset += length;
    }
    return joined;
  }

  /** Overwrites a word of the frame's header that is no longer needed, to link frames. */
  setLink(address: number, link: number): void {
    const units = this.#blockSize / 8;
    const block = this.#blocks[address >>> (this.#shift - 3)]!;
    block.words[(address & (units - 1)) * 2 + 3] = link;
  }

  link(address: number): number {
    const units = this.#blockSize / 8;
    const block = this.#blocks[address >>> (this.#shift - 3)]!;
    return block.words[(address & (units - 1)) * 2 + 3]!;
  }
}

const NOTHING = new Uint8Array();
