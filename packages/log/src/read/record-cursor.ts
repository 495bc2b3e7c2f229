import { crc32 } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import { RECORD_HEAD, readHead, SEGMENT_HEADER } from "../format/layout.js";
import { decodeTable, findHead } from "../format/scan.js";
import { GrowingIndex } from "../index/growing-index.js";
import { damagedRange } from "./gather.js";
import type { Partition } from "./partition.js";
import { Window } from "./window.js";

/** A segment, as far as it is read. */
export interface Extent {
  readonly segment: Segment;
  readonly end: number;
}

/** A record table is damaged: only the segment's index knows what it held. */
export class UnreadableTable extends Error {}

/** Goes through the records of a segment, and divides what they hold. */
export class RecordCursor {
  readonly isBase: boolean;
  /** Of the record, or of the first one before it is read. */
  stamp: number;
  readonly #segment: Segment;
  readonly #number: number;
  readonly #partitions: readonly Partition[];
  #opened: Window | undefined;
  readonly #end: number;
  /** One record at a time is decoded into it; only its keys stay. */
  #index = new GrowingIndex();
  /** Of each key: its partition, and the number that it has there in this segment, plus 1. */
  #partitionOf = new Uint16Array(64);
  #numberIn = new Uint32Array(64);
  readonly #numbers: Uint32Array;
  #at = SEGMENT_HEADER;
  #next = 0;
  #entries = 0;

  constructor({ segment, end }: Extent, number: number, partitions: readonly Partition[]) {
    this.#segment = segment;
    this.#number = number;
    this.#partitions = partitions;
    this.#end = end;
    this.isBase = segment.isBase;
    this.stamp = segment.index?.firstStamp ?? 0;
    this.#numbers = new Uint32Array(partitions.length);
  }

  /** Goes to the next record, if there is one. */
  async next(): Promise<boolean> {
    const { path, seed, unreadable } = this.#segment;
    this.#at = Math.max(this.#at, this.#next);
    for (;;) {
      const at = this.#at;
      if (at + RECORD_HEAD > this.#end) break;
      const head = readHead(await this.#window.read(at, RECORD_HEAD), seed, at);
      if (head) {
        const payload = at + RECORD_HEAD + head.tableLength;
        const end = payload + head.payloadLength;
        if (end > this.#end) break;
        const table = await this.#window.read(at + RECORD_HEAD, head.tableLength);
        if (crc32(table) === head.tableCrc) {
          decodeTable(table, head, payload, this.#index, path);
          this.#next = end;
          this.#entries = head.entries;
          this.stamp = head.stamp;
          return true;
        }
      }
      // Known to be lost, and read on by who wants what is left; or not known as yet.
      const gap = unreadable.find(({ offset }) => offset === at);
      if (!gap) throw new UnreadableTable(path);
      this.#at = Math.max(gap.end, at + 1);
      if (!(await this.#isHead(this.#at))) {
        this.#at = (await findHead(this.#window, this.#segment, this.#at, this.#end)) ?? this.#end;
      }
    }
    this.#index = new GrowingIndex();
    this.#opened = undefined;
    return false;
  }

  isBefore(other: RecordCursor): boolean {
    return this.stamp === other.stamp ? this.#number < other.#number : this.stamp < other.stamp;
  }

  /** Divides the record, and answers its length in bytes. */
  async divide(): Promise<number> {
    const { columns, keys } = this.#index;
    const { key: keyColumn, group: groupColumn, delta, length: lengths } = columns;
    this.#makeRoom(keys.size);
    let group = -1;
    let bytes: Buffer = EMPTY;
    for (let row = 0; row < this.#entries; row++) {
      const key = keyColumn[row] as number;
      if (this.#numberIn[key] === 0) this.#assign(key);
      const partition = this.#partitions[this.#partitionOf[key] as number] as Partition;
      const length = lengths[row] as number;
      if (
        !partition.begin(this.#number, this.#index.keys, key, this.#numberIn[key] as number, length)
      )
        await partition.beginLater(
          this.#number,
          this.#index.keys,
          key,
          this.#numberIn[key] as number,
          length,
        );
      if (length === 0) continue;
      let from = delta[row] as number;
      for (let left = length, at = groupColumn[row] as number; left > 0; at++, from = 0) {
        if (at !== group) {
          group = at;
          bytes = await this.#readGroup(at, key);
        }
        const taken = Math.min(left, bytes.length - from);
        if (!partition.add(bytes, from, taken)) await partition.addLater(bytes, from, taken);
        left -= taken;
      }
    }
    const byteLength = this.#next - this.#at;
    this.#at = this.#next;
    return byteLength;
  }

  async #readGroup(group: number, key: number): Promise<Buffer> {
    const { start, groupLength, crc } = this.#index.columns;
    const length = groupLength[group] as number;
    const position = start[group] as number;
    const bytes = this.#window.has(position, length) ?? (await this.#window.read(position, length));
    if (crc32(bytes) !== crc[group]) {
      throw damagedRange(this.#segment, position, length, this.#index.keys.text(key) || "?");
    }
    return bytes;
  }

  get #window(): Window {
    this.#opened ??= new Window(this.#segment, this.#end);
    return this.#opened;
  }

  async #isHead(at: number): Promise<boolean> {
    if (at + RECORD_HEAD > this.#end) return false;
    return !!readHead(await this.#window.read(at, RECORD_HEAD), this.#segment.seed, at);
  }

  #assign(key: number): void {
    const hash = this.#index.keys.orderHash(key);
    const partition = Math.floor((hash / 2 ** 32) * this.#partitions.length);
    this.#partitionOf[key] = partition;
    // Marked as new until it is written once: see `Partition.begin`.
    this.#numberIn[key] = ++this.#numbers[partition]!;
  }

  #makeRoom(keys: number): void {
    if (keys <= this.#numberIn.length) return;
    const size = Math.max(keys, 2 * this.#numberIn.length);
    const partitionOf = new Uint16Array(size);
    partitionOf.set(this.#partitionOf);
    this.#partitionOf = partitionOf;
    const numberIn = new Uint32Array(size);
    numberIn.set(this.#numberIn);
    this.#numberIn = numberIn;
  }
}

const EMPTY = Buffer.alloc(0);
