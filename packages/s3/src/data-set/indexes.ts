import { LastUsed, unlessAborted } from "@partd/core/author";
import type { ListedObject } from "../client.js";
import { type BlockPlace, checkBlock, IndexFooter, indexWriter } from "../format/index-object.js";
import type { Requests } from "../objects/requests.js";
import type { Segment } from "./segment.js";

/** An index, and the segments that it describes. */
export interface Index {
  readonly key: string;
  readonly footer: IndexFooter;
  /** In the order of the footer; undefined where a segment does not count. */
  readonly segments: readonly (Segment | undefined)[];
}

/** The indexes that writers have left. A missing or damaged one is ignored: each segment has its own tail. */
export class Indexes {
  readonly #requests: Requests;
  readonly #folder: string;
  #objects: readonly ListedObject[] = [];
  /** Undefined for an index that is ignored. */
  readonly #footers = new Map<string, Promise<IndexFooter | undefined>>();
  /** By the name of the index and the position of the block. */
  readonly #blocks: LastUsed<string, Buffer>;

  /** @param memory the most bytes of blocks to keep. */
  constructor(requests: Requests, folder: string, memory: number) {
    this.#requests = requests;
    this.#folder = folder;
    this.#blocks = new LastUsed(memory);
  }

  /** Takes the indexes of the last listing. */
  set(objects: readonly ListedObject[]): void {
    this.#objects = objects;
    const names = new Set(objects.map(({ key }) => key));
    for (const key of this.#footers.keys()) if (!names.has(key)) this.#footers.delete(key);
  }

  /** The indexes that describe any of the segments. Each segment is described by one of them at most. */
  async of(segments: readonly Segment[], signal?: AbortSignal): Promise<Index[]> {
    const left = new Map<string, Segment>();
    for (const one of segments) left.set(`${one.writer}-${one.sequence}`, one);
    const indexes: Index[] = [];
    const writers = new Set(segments.map(({ writer }) => writer));
    const objects = this.#objects.filter(({ key }) => writers.has(this.#writerOf(key)));
    const footers = objects.map((object) => this.#footer(object));
    for (const [i, { key }] of objects.entries()) {
      const footer = await unlessAborted(footers[i] as Promise<IndexFooter | undefined>, signal);
      if (!footer) continue;
      const writer = this.#writerOf(key);
      const found = footer.segments.map(({ sequence, bodyLength, partLength }) => {
        const id = `${writer}-${sequence}`;
        const segment = left.get(id);
        if (!segment) return undefined;
        const { inParts, size, tailLength } = segment;
        if (inParts ? partLength === 0 : bodyLength !== size - tailLength) return undefined;
        left.delete(id);
        return segment;
      });
      if (found.some(Boolean)) indexes.push({ key, footer, segments: found });
    }
    return indexes;
  }

  /**
   * Reads the blocks of an index in which the keys may lie, neighbours by one request.
   *
   * @param keys in order; without them, all blocks.
   * @returns undefined if the index is missing or damaged: from now on it is ignored.
   */
  async blocks(
    { key, footer }: Index,
    keys: readonly string[] | undefined,
    signal?: AbortSignal,
  ): Promise<Buffer[] | undefined> {
    const places = keys
      ? footer.blocksOf(keys).map((i) => footer.blocks[i] as BlockPlace)
      : footer.blocks;
    const nameOf = (start: number) => `${key} ${start}`;
    const kept = new Map(places.map(({ start }) => [start, this.#blocks.get(nameOf(start))]));
    const unread = places.filter(({ start }) => !kept.get(start));
    const fresh = new Map<number, Buffer>();
    const runs: { start: number; end: number }[] = [];
    for (const { start, end } of unread) {
      const last = runs.at(-1);
      if (last && start - last.end <= GAP && end - last.start <= LARGEST_GET) last.end = end;
      else runs.push({ start, end });
    }
    const read = await Promise.all(
      runs.map(async (run) => {
        const bytes = await this.#requests.read(key, run.start, run.end, signal);
        if (!bytes) return false;
        for (const { start, end } of unread) {
          if (start < run.start || end > run.end) continue;
          // A copy: one block that is kept must not keep all.
          fresh.set(start, Buffer.from(bytes.subarray(start - run.start, end - run.start)));
        }
        return true;
      }),
    );
    try {
      if (!read.every(Boolean)) throw new RangeError("it is gone");
      for (const block of fresh.values()) checkBlock(block);
    } catch {
      this.passOver(key);
      return undefined;
    }
    for (const [start, block] of fresh) this.#blocks.keep(nameOf(start), block, block.length);
    return places.map(({ start }) => (kept.get(start) ?? fresh.get(start)) as Buffer);
  }

  passOver(key: string): void {
    this.#footers.set(key, Promise.resolve(undefined));
  }

  #writerOf(key: string): string {
    return indexWriter(key.slice(this.#folder.length)) ?? "";
  }

  #footer(object: ListedObject): Promise<IndexFooter | undefined> {
    const known = this.#footers.get(object.key);
    if (known) return known;
    const reading = this.#readFooter(object);
    this.#footers.set(object.key, reading);
    reading.catch(() => {
      if (this.#footers.get(object.key) === reading) this.#footers.delete(object.key);
    });
    return reading;
  }

  /** A small index is read whole by the same request. */
  async #readFooter({ key, size }: ListedObject): Promise<IndexFooter | undefined> {
    const end = await this.#read(key, Math.max(0, size - LAST_BYTES), size);
    if (!end) return undefined;
    try {
      const length = IndexFooter.lengthOf(end);
      if (length > size || length > LONGEST_FOOTER) return undefined;
      const bytes =
        length <= end.length
          ? end.subarray(end.length - length)
          : await this.#read(key, size - length, size);
      if (!bytes) return undefined;
      const footer = new IndexFooter(bytes, size, this.#writerOf(key));
      for (const { start, end: blockEnd } of footer.blocks) {
        const at = start - (size - end.length);
        if (at < 0) continue;
        const block = Buffer.from(end.subarray(at, at + blockEnd - start));
        checkBlock(block);
        this.#blocks.keep(`${key} ${start}`, block, block.length);
      }
      return footer;
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  async #read(key: string, start: number, end: number): Promise<Buffer | undefined> {
    const bytes = await this.#requests.read(key, start, end);
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** Bytes at the end of an index that are read first. */
const LAST_BYTES = 16_384;
/** Bytes between two blocks up to which one request reads both. */
const GAP = 32_768;
const LARGEST_GET = 8 * 2 ** 20;
/** Bytes of a footer, more than those of any index: an index is one of 16 MiB of descriptions, about. */
const LONGEST_FOOTER = 2 ** 28;
