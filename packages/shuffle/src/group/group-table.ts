import { Pace } from "@partd/core/author";
import type { Walk } from "../run/walk.js";
import type { Block } from "../spill/block.js";
import { LoadedChain } from "../spill/loaded-chain.js";
import { sameBytes } from "../spill/same-bytes.js";

/**
 * Finds the groups of a chain in memory: a hash table of the first frame of each group; from there on each
 * frame links to the next one of its group, in a word of its header. So a record costs nothing
 * beside its frame, and a group 20 to 28 bytes.
 */
export class GroupTable {
  count = 0;
  readonly #chain: LoadedChain;
  /** A second view, for the frames that a key is compared with. */
  readonly #other: LoadedChain;
  /** Groups by hash: index and 1, or 0 where there is none. */
  #slots = new Uint32Array(64);
  #firsts = new Uint32Array(32);
  #lasts = new Uint32Array(32);
  #hashes = new Uint32Array(32);

  constructor(blocks: readonly Block[], blockSize: number) {
    this.#chain = new LoadedChain(blocks, blockSize);
    this.#other = new LoadedChain(blocks, blockSize);
  }

  /** Bytes that the table of so many records takes at most. */
  static cost(records: number): number {
    return records * 28;
  }

  async build(): Promise<void> {
    const pace = new Pace();
    const chain = this.#chain;
    for (let more = chain.look(0); more; more = chain.look(chain.following)) {
      this.#add(chain);
      if (pace.due) await pace.rest();
    }
  }

  #add(frame: LoadedChain): void {
    const hash = (frame.low ^ Math.imul(frame.high, 0x9e3779b1)) >>> 0;
    const { address } = frame;
    frame.setLink(address, NO_LINK);
    const mask = this.#slots.length - 1;
    let slot = (Math.imul(hash, 0x85ebca6b) >>> 7) & mask;
    for (;;) {
      const index = this.#slots[slot]! - 1;
      if (index < 0) {
        this.#begin(slot, address, hash);
        return;
      }
      if (this.#hashes[index] === hash && this.#hasKey(index, frame)) {
        frame.setLink(this.#lasts[index]!, address);
        this.#lasts[index] = address;
        return;
      }
      slot = (slot + 1) & mask;
    }
  }

  #hasKey(index: number, frame: LoadedChain): boolean {
    const other = this.#other;
    other.look(this.#firsts[index]!);
    return sameBytes(
      other.bytes,
      other.keyStart,
      other.keyEnd,
      frame.bytes,
      frame.keyStart,
      frame.keyEnd,
    );
  }

  #begin(slot: number, address: number, hash: number): void {
    const index = this.count++;
    if (index === this.#firsts.length) {
      this.#firsts = grown(this.#firsts);
      this.#lasts = grown(this.#lasts);
      this.#hashes = grown(this.#hashes);
    }
    this.#firsts[index] = address;
    this.#lasts[index] = address;
    this.#hashes[index] = hash;
    this.#slots[slot] = index + 1;
    if (this.count * 2 > this.#slots.length) this.#widen();
  }

  #widen(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < this.count; index++) {
      let slot = (Math.imul(this.#hashes[index]!, 0x85ebca6b) >>> 7) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
    this.#slots = slots;
  }

  /** The group of a key, or -1. */
  find(keys: Uint8Array, start: number, end: number, low: number, high: number): number {
    const hash = (low ^ Math.imul(high, 0x9e3779b1)) >>> 0;
    const mask = this.#slots.length - 1;
    for (let slot = (Math.imul(hash, 0x85ebca6b) >>> 7) & mask; ; slot = (slot + 1) & mask) {
      const index = this.#slots[slot]! - 1;
      if (index < 0) return -1;
      if (this.#hashes[index] !== hash) continue;
      const other = this.look(index);
      if (sameBytes(other.bytes, other.keyStart, other.keyEnd, keys, start, end)) return index;
    }
  }

  /** The frames of a group, in order: each holds until the next. */
  *records(index: number): Generator<LoadedChain> {
    const chain = this.#chain;
    for (let address = this.#firsts[index]!; address !== NO_LINK; address = chain.link(address)) {
      chain.look(address);
      yield chain;
    }
  }

  /** The first frame of a group. */
  look(index: number): LoadedChain {
    this.#other.look(this.#firsts[index]!);
    return this.#other;
  }

  /** Visits the records of a group. */
  walk(index: number): Walk {
    const chain = this.#chain;
    let address = this.#firsts[index]!;
    return (visit) => () => {
      let bytes = 0;
      while (address !== NO_LINK && bytes < BYTES_AT_ONCE) {
        chain.look(address);
        address = chain.link(address);
        bytes += chain.end - chain.keyEnd;
        visit(chain.bytes, chain.keyEnd, chain.end);
      }
      return address !== NO_LINK;
    };
  }
}

const NO_LINK = 0xffff_ffff;
/** Half a millisecond to a few of decoding. */
const BYTES_AT_ONCE = 128 << 10;

function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.ceil(array.length * 1.5));
  larger.set(array);
  return larger;
}
