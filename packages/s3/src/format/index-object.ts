import { Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import { ByteReader, ByteWriter } from "./bytes.js";
import { hex, INDEX } from "./names.js";
import { CHUNK, type Tail, type TailCursor } from "./tail.js";

/**
 * The index that a writer leaves when it ends: what the tails of its segments say, merged and in the order
 * of keys, so that a reader of a hundredth of the keys reads a hundredth of it. It saves requests and bytes,
 * and nothing depends on it: each segment has its own tail.
 *
 * | bytes | |
 * |---|---|
 * | … | blocks, end to end, each of about {@link BLOCK} bytes: for each key its length and text, the bytes of its pieces, and the pieces; then a CRC-32 of the block |
 * | … | the footer: the number of segments, and for each the difference of its sequence to the one before, the bytes of its values, and those of each of its parts, or 0; the number of blocks, and for each the length and text of its first key, and its bytes |
 * | 4, 8 | bytes of the footer; writer |
 * | 4 | CRC-32 of all from the footer up to here |
 * | 4 | magic, with the version |
 *
 * A piece is the place of its segment in the footer, where its value begins among the values of the segment,
 * the value's length, and a CRC-32 for each chunk of it. Numbers are little-endian, all others varints.
 */
export class IndexFooter {
  readonly segments: readonly IndexedSegment[];
  readonly blocks: readonly BlockPlace[];

  /** Bytes of footer and trailer, by the last bytes of an index. @throws `RangeError` for no index. */
  static lengthOf(end: Buffer): number {
    const reader = new ByteReader(end, Math.max(0, end.length - TRAILER));
    const length = reader.uint32();
    reader.skip(12);
    if (reader.uint32() !== MAGIC) throw new RangeError("it is of another format");
    return length + TRAILER;
  }

  /**
   * @param bytes footer and trailer.
   * @param size bytes of the whole object.
   * @throws `RangeError` unless they are those of an index of the writer.
   */
  constructor(bytes: Buffer, size: number, writer: string) {
    const end = bytes.length - TRAILER;
    const crcAt = bytes.length - 8;
    if (crc32(bytes.subarray(0, crcAt)) !== bytes.readUInt32LE(crcAt)) {
      throw new RangeError("its checksum is wrong");
    }
    if (bytes.toString("hex", end + 4, end + 12) !== writer) {
      throw new RangeError("it belongs to another writer");
    }
    const reader = new ByteReader(bytes, 0, end);
    const segments: IndexedSegment[] = [];
    let sequence = 0;
    for (let count = reader.varint(); count > 0; count--) {
      sequence += reader.varint();
      segments.push({ sequence, bodyLength: reader.varint(), partLength: reader.varint() });
    }
    const blocks: BlockPlace[] = [];
    let start = 0;
    for (let count = reader.varint(); count > 0; count--) {
      const firstKey = text(reader);
      const length = reader.varint();
      blocks.push({ firstKey, start, end: start + length });
      start += length;
    }
    if (!reader.isAtEnd || start !== size - bytes.length) {
      throw new RangeError("its lengths contradict one another");
    }
    this.segments = segments;
    this.blocks = blocks;
  }

  /** The numbers of the blocks in which the keys, in order, may lie. */
  blocksOf(keys: readonly string[]): number[] {
    const numbers: number[] = [];
    for (const key of keys) {
      let from = 0;
      let to = this.blocks.length;
      while (from < to) {
        const middle = (from + to) >> 1;
        if ((this.blocks[middle] as BlockPlace).firstKey <= key) from = middle + 1;
        else to = middle;
      }
      if (from > 0 && numbers.at(-1) !== from - 1) numbers.push(from - 1);
    }
    return numbers;
  }
}

/** A segment of an index. */
export interface IndexedSegment {
  readonly sequence: number;
  /** Bytes of its values. */
  readonly bodyLength: number;
  /** Bytes of each part but the last; 0 if the values lie before the tail. */
  readonly partLength: number;
}

export interface BlockPlace {
  readonly firstKey: string;
  /** In the object. */
  readonly start: number;
  readonly end: number;
}

/** What an index says that a segment holds of a key. */
export interface IndexedPiece {
  /** Place in {@link IndexFooter.segments}. */
  readonly place: number;
  readonly offset: number;
  readonly length: number;
  readonly checksums: readonly number[];
}

/** @throws `RangeError` if the block is damaged. */
export function checkBlock(block: Buffer): void {
  const end = block.length - 4;
  if (end >= 0 && crc32(block.subarray(0, end)) === block.readUInt32LE(end)) return;
  throw new RangeError("the checksum of a block is wrong");
}

/** The keys of a block in order, each with a function that reads its pieces. */
export function* keysOf(
  block: Buffer,
): Generator<readonly [key: string, pieces: () => IndexedPiece[]], void, undefined> {
  const reader = new ByteReader(block, 0, block.length - 4);
  while (!reader.isAtEnd) {
    const key = text(reader);
    const length = reader.varint();
    reader.skip(length);
    const end = reader.at;
    yield [key, () => piecesOf(new ByteReader(block, end - length, end))];
  }
}

function piecesOf(reader: ByteReader): IndexedPiece[] {
  const pieces: IndexedPiece[] = [];
  while (!reader.isAtEnd) {
    const place = reader.varint();
    const offset = reader.varint();
    const length = reader.varint();
    pieces.push({ place, offset, length, checksums: checksumsOf(reader, length) });
  }
  return pieces;
}

function checksumsOf(reader: ByteReader, length: number): number[] {
  // Most values are of one chunk. A literal takes 8 bytes where the first `push` reserves 136.
  if (length > 0 && length <= CHUNK) return [reader.uint32()];
  const checksums: number[] = [];
  for (let at = 0; at < length; at += CHUNK) checksums.push(reader.uint32());
  return checksums;
}

/** Merges the tails of a writer's segments, which are in the order of their sequences. */
export async function mergeTails(
  writer: string,
  tails: readonly { readonly sequence: number; readonly tail: Tail }[],
): Promise<Buffer> {
  const footer = new ByteWriter();
  footer.varint(tails.length);
  let before = 0;
  for (const { sequence, tail } of tails) {
    footer.varint(sequence - before);
    footer.varint(tail.bodyLength);
    footer.varint(tail.partLength);
    before = sequence;
  }
  const blocks = new BlockWriter();
  const heads = new Heads(tails.map(({ tail }) => tail.entries()));
  const pace = new Pace();
  const pieces = new ByteWriter();
  for (let key = heads.firstKey; key !== undefined; ) {
    const { place, entry } = heads.first;
    if (entry.length > 0) {
      for (const number of [place, entry.offset, entry.length]) pieces.varint(number);
      for (const checksum of entry.checksums) pieces.uint32(checksum);
    }
    heads.advance();
    if (heads.firstKey !== key) {
      if (pieces.length > 0) blocks.add(key, pieces.bytes);
      pieces.clear();
      key = heads.firstKey;
    }
    if (pace.due) await pace.rest();
  }
  return blocks.end(footer, writer);
}

/** The current entries of several tails, ordered by key, then by tail. */
class Heads {
  /** A binary heap. */
  readonly #heap: Head[] = [];

  constructor(tails: readonly TailCursor[]) {
    tails.forEach((entry, place) => {
      if (entry.advance()) this.#heap.push({ key: entry.key, place, entry });
    });
    for (let i = this.#heap.length >> 1; i-- > 0; ) this.#sink(i);
  }

  get first(): Head {
    return this.#heap[0] as Head;
  }

  /** `undefined` when all tails have ended. */
  get firstKey(): string | undefined {
    return this.#heap[0]?.key;
  }

  /** Moves the first tail to its next entry. */
  advance(): void {
    const { first } = this;
    const last = first.entry.advance() ? undefined : this.#heap.pop();
    if (!last) first.key = first.entry.key;
    else if (this.#heap.length > 0) this.#heap[0] = last;
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    for (let at = from; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child] as Head, heap[least] as Head))
          least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least] as Head, heap[at] as Head];
      at = least;
    }
  }
}

interface Head {
  key: string;
  readonly place: number;
  readonly entry: TailCursor;
}

function isBefore(a: Head, b: Head): boolean {
  return a.key === b.key ? a.place < b.place : a.key < b.key;
}

/** Cuts keys with their pieces into blocks. */
class BlockWriter {
  readonly #bytes = new ByteWriter();
  readonly #places = new ByteWriter();
  #count = 0;
  #start = 0;

  add(key: string, pieces: Uint8Array): void {
    if (this.#bytes.length === this.#start) {
      this.#places.varint(key.length);
      this.#places.ascii(key);
    }
    this.#bytes.varint(key.length);
    this.#bytes.ascii(key);
    this.#bytes.varint(pieces.length);
    this.#bytes.append(pieces);
    if (this.#bytes.length - this.#start >= BLOCK) this.#endBlock();
  }

  /** The whole index. */
  end(footer: ByteWriter, writer: string): Buffer {
    if (this.#bytes.length > this.#start) this.#endBlock();
    footer.varint(this.#count);
    footer.append(this.#places.bytes);
    footer.uint32(footer.length);
    footer.append(Buffer.from(writer, "hex"));
    footer.uint32(crc32(footer.bytes));
    footer.uint32(MAGIC);
    this.#bytes.append(footer.bytes);
    return this.#bytes.bytes;
  }

  #endBlock(): void {
    this.#bytes.uint32(crc32(this.#bytes.bytes.subarray(this.#start)));
    this.#places.varint(this.#bytes.length - this.#start);
    this.#count++;
    this.#start = this.#bytes.length;
  }
}

function text(reader: ByteReader): string {
  const length = reader.varint();
  reader.skip(length);
  return reader.bytes.toString("latin1", reader.at - length, reader.at);
}

export function indexName(writer: string, number: number): string {
  return `${INDEX}${writer}-${hex(number, 8)}`;
}

/** The writer of an index, by its name in the data set; nothing for another name. */
export function indexWriter(name: string): string | undefined {
  return /^index\/([0-9a-f]{16})-[0-9a-f]{8}$/.exec(name)?.[1];
}

/** Bytes of a block, about: what is read at least to find a key. */
const BLOCK = 8192;
const TRAILER = 4 + 8 + 4 + 4;
const MAGIC = 0x02495370; // "pSI", version 2; version 1 was not sorted by key
