import { fstatSync } from "node:fs";
import { LastUsed, Pace } from "@partd/core/author";
import { closeFile, crc32 } from "@partd/disk";
import { checkVersion, readUint64 } from "../format/layout.js";
import { openOrMakeRoom } from "../open-files.js";
import {
  FENCE_BYTES,
  GROUP_BYTES,
  INDEX_HEADER,
  INDEX_MAGIC,
  INDEX_VERSION,
  PAGE_BYTES,
  PAGE_GROUPS,
} from "./index-file.js";
import {
  BlockReader,
  damagedIndex as damaged,
  FoundRanges,
  ListedFile,
  readExactly,
  StretchReader,
} from "./index-reader.js";
import { beginsWith, orderHash, orderHashOf } from "./key-dictionary.js";
import {
  FILTER_PAGE_BYTES,
  filterBytes,
  filterPageBytes,
  filterPlace,
  MOST_BLOCKS,
  mayHold,
} from "./key-filter.js";
import { type RangeChains, radixOrder } from "./range-chains.js";

/** The stamps of a key in a segment. */
export interface KeySummary {
  readonly hash: number;
  readonly key: string;
  /** Stamp of its last deletion, or {@link NEVER}. */
  readonly deleted: number;
  /** Stamp of its last bytes, or {@link NEVER}. */
  readonly last: number;
}

/**
 * The index of a finished segment, in a file beside it. Memory holds 12 bytes for each block of 4 KiB:
 * the hash of its first key, and its position. A look-up reads one block and one page of groups; for
 * most absent keys, only a page of the filter.
 */
export class StoredIndex {
  readonly path: string;
  /** The segment's records fill its first `end` bytes. */
  readonly end: number;
  readonly #number = opened++;
  readonly firstStamp: number;
  readonly lastStamp: number;
  readonly hasDeletions: boolean;
  readonly #groups: number;
  /** How many keys there are. */
  readonly keyCount: number;
  /** 0 in an index of version 2. */
  readonly #filterBlocks: number;
  /** The first hash of each block. */
  readonly #hashes: Uint32Array;
  /** Where each block begins, then where the last one ends. */
  readonly #places: Float64Array;

  /**
   * @returns `undefined` for an index of version 1, which is written again from its segment.
   * @throws `ERR_PARTD_CORRUPT` if the file is damaged or belongs to another segment.
   */
  static async open(path: string, id: string): Promise<StoredIndex | undefined> {
    const fd = openOrMakeRoom(path, "r");
    try {
      const { size } = fstatSync(fd);
      const header = await readExactly(fd, path, 0, Math.min(size, INDEX_HEADER));
      if (header.length < 64 || header.readBigUInt64LE(0) !== INDEX_MAGIC) {
        throw damaged(path, "it is no index");
      }
      const version = header.readUInt16LE(8);
      if (version === 1 && crc32(header.subarray(0, 60)) === header.readUInt32LE(60)) return;
      if (
        header.length < INDEX_HEADER ||
        crc32(header.subarray(0, INDEX_HEADER - 4)) !== header.readUInt32LE(INDEX_HEADER - 4)
      ) {
        throw damaged(path, "its header does not match its checksum");
      }
      if (version !== 2) checkVersion(version, path, INDEX_VERSION);
      if (header.toString("hex", 16, 24) !== id) throw damaged(path, "it is of another segment");
      const fencesAt = readUint64(header, 64);
      const fences = await readExactly(fd, path, fencesAt, header.readUInt32LE(56) * FENCE_BYTES);
      if (crc32(fences) !== header.readUInt32LE(60)) {
        throw damaged(path, "its table of blocks does not match its checksum");
      }
      if (fencesAt + fences.length !== size) throw damaged(path, "it is too long");
      const index = new StoredIndex(path, header, fences);
      const filterEnd = index.#filterStart + filterBytes(index.#filterBlocks);
      if (filterEnd !== fencesAt || index.#filterBlocks > MOST_BLOCKS) {
        throw damaged(path, "its blocks have gaps");
      }
      return index;
    } finally {
      closeFile(fd);
    }
  }

  private constructor(path: string, header: Buffer, fences: Buffer) {
    this.path = path;
    this.end = readUint64(header, 24);
    this.firstStamp = readUint64(header, 32);
    this.lastStamp = readUint64(header, 40) - 1;
    this.hasDeletions = (header.readUInt32LE(12) & 1) === 1;
    this.#groups = header.readUInt32LE(48);
    this.keyCount = header.readUInt32LE(52);
    this.#filterBlocks = header.readUInt16LE(8) === 2 ? 0 : header.readUInt32LE(72);
    const blocks = fences.length / FENCE_BYTES;
    this.#hashes = new Uint32Array(blocks);
    this.#places = new Float64Array(blocks + 1);
    let place =
      INDEX_HEADER + GROUP_BYTES * this.#groups + 4 * Math.ceil(this.#groups / PAGE_GROUPS);
    for (let block = 0; block < blocks; block++) {
      this.#hashes[block] = fences.readUInt32LE(block * FENCE_BYTES);
      this.#places[block] = place;
      place += fences.readUInt32LE(block * FENCE_BYTES + 4);
    }
    this.#places[blocks] = place;
  }

  /** The filter follows the last block of keys. */
  get #filterStart(): number {
    return this.#places[this.#hashes.length] as number;
  }

  /**
   * The ranges and deletions of `keys`: key `i` of the result is `keys[i]`.
   *
   * @returns `undefined` if it has none of them.
   */
  async load(keys: readonly string[]): Promise<RangeChains | undefined> {
    if (keys.length === 0 || this.#hashes.length === 0) return undefined;
    const file = new ListedFile(this.path);
    try {
      const hashes = Uint32Array.from(keys, orderHashOf);
      const order = await this.#filtered(file, hashes, radixOrder(hashes, keys.length));
      if (order.length === 0) return undefined;
      const found = new FoundRanges();
      await this.#findRanges(file, { keys, hashes, order }, found);
      await this.#readGroups(file, found);
      return found.chains(this.lastStamp);
    } catch (error) {
      // The checksums match, so faulty software wrote these numbers.
      if (error instanceof RangeError) throw damaged(this.path, "its numbers make no sense");
      throw error;
    } finally {
      file.close();
    }
  }

  /** The stamps of all keys that begin with `text`, in the order of their hashes, then bytes. */
  async *summaries(text = ""): AsyncGenerator<KeySummary[], void, undefined> {
    if (this.#hashes.length === 0) return;
    const file = new ListedFile(this.path);
    try {
      const reader = new StretchReader(file, this.path, true);
      for (let block = 0; block < this.#hashes.length; block++) {
        const some: KeySummary[] = [];
        const bytes = await this.#readBlock(reader, block);
        for (const entries = new BlockReader(bytes, this.firstStamp); entries.next(); ) {
          const { start, end, deleted, last } = entries;
          entries.skipRanges();
          if (!beginsWith(bytes, start, end, text)) continue;
          const hash = orderHash(bytes, start, end);
          some.push({ hash, key: bytes.toString("latin1", start, end), deleted, last });
        }
        yield some;
      }
    } finally {
      file.close();
    }
  }

  /** Reads the whole index. @throws `ERR_PARTD_CORRUPT` if any part does not match its checksum. */
  async check(signal: AbortSignal): Promise<void> {
    for await (const _ of this.summaries()) signal.throwIfAborted();
    const file = new ListedFile(this.path);
    try {
      const reader = new StretchReader(file, this.path, true);
      for (let group = 0; group < this.#groups; group += PAGE_GROUPS) {
        await this.#readPage(reader, group);
      }
      for (let start = 0; start < filterBytes(this.#filterBlocks); start += FILTER_PAGE_BYTES) {
        signal.throwIfAborted();
        await this.#readFilter(reader, start / FILTER_PAGE_BYTES);
      }
    } finally {
      file.close();
    }
  }

  async #findRanges(
    file: ListedFile,
    { keys, hashes, order }: Wanted,
    found: FoundRanges,
  ): Promise<void> {
    const reader = new StretchReader(file, this.path, order.length > this.#hashes.length / 4);
    const pace = new Pace();
    const blocks = this.#hashes.length;
    const hashOf = (i: number) => hashes[order[i] as number] as number;
    const keyOf = (i: number) => keys[order[i] as number] as string;
    // Both are in the order of the hashes. A wanted key stays next while it may be in a later block.
    for (let i = 0, block = 0; i < order.length && block < blocks; block++) {
      block = Math.max(block, this.#blockOf(hashOf(i)));
      const bytes = await this.#readBlock(reader, block);
      const end = this.#hashes[block + 1] ?? Number.POSITIVE_INFINITY;
      for (const entries = new BlockReader(bytes, this.firstStamp); entries.next(); ) {
        const hash = orderHash(bytes, entries.start, entries.end);
        while (i < order.length && hashOf(i) < hash) i++;
        if (i === order.length || hashOf(i) > end) break;
        let at = i;
        while (at < order.length && hashOf(at) === hash && !entries.isKey(keyOf(at))) at++;
        if (at === order.length || hashOf(at) !== hash) entries.skipRanges();
        else found.add(order[at] as number, entries);
      }
      while (i < order.length && hashOf(i) < end) i++;
      if (pace.due) await pace.rest();
    }
  }

  /**
   * Those of `order` whose keys may be present. If so many are wanted that most blocks are read anyway:
   * all.
   */
  async #filtered(file: ListedFile, hashes: Uint32Array, order: Uint32Array): Promise<Uint32Array> {
    if (this.#filterBlocks === 0 || FEW * hashes.length > this.keyCount) return order;
    const reader = new StretchReader(file, this.path, false);
    const pace = new Pace();
    let page = -1;
    let bytes: Buffer = EMPTY;
    let count = 0;
    for (const i of order) {
      const hash = hashes[i] as number;
      const place = filterPlace(hash, this.#filterBlocks);
      if (place.page !== page) {
        page = place.page;
        bytes = await this.#readFilter(reader, page);
        if (pace.due) await pace.rest();
      }
      if (mayHold(bytes, place.offset, hash)) order[count++] = i;
    }
    return order.subarray(0, count);
  }

  async #readGroups(file: ListedFile, found: FoundRanges): Promise<void> {
    const pages = Math.ceil(this.#groups / PAGE_GROUPS);
    const reader = new StretchReader(file, this.path, found.count > pages / 4);
    const pace = new Pace();
    let page: Buffer | undefined;
    let pageStart = 0;
    for (const [first, count] of found.groupRuns()) {
      if (first + count > this.#groups) throw new RangeError("there is no such group");
      for (let group = first; group < first + count; group++) {
        if (!page || group < pageStart || group >= pageStart + PAGE_GROUPS) {
          pageStart = group - (group % PAGE_GROUPS);
          page = await this.#readPage(reader, pageStart);
        }
        found.addGroup(page, GROUP_BYTES * (group - pageStart));
      }
      if (pace.due) await pace.rest();
    }
  }

  #readPage(reader: StretchReader, group: number): Promise<Buffer> {
    const place = INDEX_HEADER + (group / PAGE_GROUPS) * PAGE_BYTES;
    const length = GROUP_BYTES * Math.min(PAGE_GROUPS, this.#groups - group);
    return this.#cached(reader, place, async () => {
      const page = await reader.read(place, length + 4);
      if (crc32(page.subarray(0, length)) !== page.readUInt32LE(length)) {
        throw damaged(this.path, "a page of groups does not match its checksum");
      }
      return page;
    });
  }

  #readFilter(reader: StretchReader, page: number): Promise<Buffer> {
    const place = this.#filterStart + page * FILTER_PAGE_BYTES;
    const length = filterPageBytes(page, this.#filterBlocks);
    return this.#cached(reader, place, async () => {
      const bytes = await reader.read(place, length);
      if (crc32(bytes.subarray(0, length - 4)) !== bytes.readUInt32LE(length - 4)) {
        throw damaged(this.path, "a page of its filter does not match its checksum");
      }
      return bytes;
    });
  }

  #readBlock(reader: StretchReader, block: number): Promise<Buffer> {
    const place = this.#places[block] as number;
    const end = this.#places[block + 1] as number;
    return this.#cached(reader, place, async () => {
      const bytes = await reader.read(place, end - place);
      if (bytes.length < 4 || crc32(bytes.subarray(4)) !== bytes.readUInt32LE(0)) {
        throw damaged(this.path, "a block of keys does not match its checksum");
      }
      return bytes.subarray(4);
    });
  }

  /** What lies at `place`, read and checked, or cached from an earlier read. */
  async #cached(
    reader: StretchReader,
    place: number,
    read: () => Promise<Buffer>,
  ): Promise<Buffer> {
    // A sequential scan would evict the blocks that are used often.
    if (reader.isDense) return read();
    const name = `${this.#number} ${place}`;
    const kept = blocks.get(name);
    if (kept) return kept;
    const fresh = await read();
    blocks.keep(name, fresh, fresh.byteLength + BESIDE_BLOCK);
    return fresh;
  }

  /** The first block that can hold a key with this hash. */
  #blockOf(hash: number): number {
    let low = 0;
    let high = this.#hashes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#hashes[middle] as number) < hash) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Keys, their hashes, and which of them are wanted, in the order of the hashes. */
interface Wanted {
  readonly keys: readonly string[];
  readonly hashes: Uint32Array;
  readonly order: Uint32Array;
}

/** The filter is used if at most one key in this many of the index is wanted. */
const FEW = 4;
const EMPTY = Buffer.alloc(0);

/**
 * A cache of blocks and pages, for all stores of the thread: gets of single keys find most of what they
 * need here.
 */
const blocks = new LastUsed<string, Buffer>(16 * 2 ** 20);
/** Bytes of a small array and its entry in a Map. */
const BESIDE_BLOCK = 300;

/** How many indexes were opened so far. */
let opened = 0;
