import { PartdError } from "@partd/core";
import type { KeyedBatch, KeyedRecord } from "../source/keyed-batch.js";
import type { Chain } from "../spill/chain.js";
import { appendBatch } from "../spill/fan.js";
import { frameCost } from "../spill/frame.js";
import { LoadedChain } from "../spill/loaded-chain.js";
import type { Workspace } from "../spill/workspace.js";
import type { Checkpoint } from "./checkpoint.js";
import { Merge } from "./merge.js";
import { sortCost, sortedOrder } from "./sorted-order.js";

/** A record in its place in the order. It is valid until the next one is read. */
export interface SortedRecord extends KeyedRecord {
  readonly low: number;
  readonly high: number;
  /** Whether `bytes` holds only this record with its key, and may be kept. */
  readonly isOwn: boolean;
}

/**
 * Sorts frames by key; stable. What fits in memory is sorted there; otherwise sorted runs are spilled,
 * and merged.
 */
export class Sorter {
  readonly #workspace: Workspace;
  #gathered: Chain;
  /** What the gathered keys have in common. */
  #tail = new KeyTail();
  /** Sorted chains, in the order of the source. */
  #runs: Chain[] = [];
  /** Records added so far, including those in recalled runs. */
  #added = 0;
  readonly #checkpoint: Checkpoint | undefined;
  /** How many records, from the first on, are in the runs of an earlier process. */
  #recalled = 0;
  /** Memory that the source takes for large records, in bytes. */
  #charged = 0;

  /** @param checkpoint keeps the runs. */
  constructor(workspace: Workspace, checkpoint?: Checkpoint) {
    this.#workspace = workspace;
    this.#gathered = this.#pinnedChain();
    this.#checkpoint = checkpoint;
    if (!checkpoint) return;
    const { runs, covered } = checkpoint.recall(workspace);
    this.#runs = runs;
    this.#recalled = covered;
  }

  /** A chain that stays in memory until it is sorted. */
  #pinnedChain(): Chain {
    const chain = this.#workspace.chain();
    chain.pinned = true;
    return chain;
  }

  /** Adds a batch, whose hashes are the first 8 bytes of the keys. */
  async add(batch: KeyedBatch): Promise<void> {
    const done = Math.min(batch.count, Math.max(0, this.#recalled - this.#added));
    this.#added += done;
    if (done > 0 && done === batch.count) return;
    const byteLength = batch.ends[batch.count - 1] ?? 0;
    if (done === 0 && byteLength + keyBytes(batch) < this.#large) return this.#append(batch);
    const held = SOURCE_SHARE * byteLength - this.#workspace.sourceBytes;
    this.#charge(Math.max(this.#charged, held));
    for (let index = done; index < batch.count; index++) {
      await this.#addOne(recordOf(batch, index));
    }
  }

  /** Makes room for the source: spills what was gathered, which is pinned until then. */
  async makeRoom(bytes: number): Promise<void> {
    const { byteLength, sourceBytes, blockSize } = this.#workspace;
    // A copy of the record's key may be as long as the record.
    const room = 2 * bytes;
    const left = byteLength - room;
    if (room > sourceBytes && this.#gathered.length * blockSize > left / 2) await this.#spill();
    await this.#workspace.makeRoom(room);
  }

  #charge(bytes: number): void {
    this.#workspace.charge(bytes - this.#charged);
    this.#charged = bytes;
  }

  /** Adds a batch of one record. If it takes an eighth of the memory or more, it becomes a run of its own. */
  async #addOne(batch: KeyedBatch): Promise<void> {
    if (batch.bytes.length + keyBytes(batch) >= this.#large) {
      await this.#spill();
      const run = this.#workspace.chain();
      await appendBatch(this.#workspace, batch, () => run);
      this.#added++;
      if (this.#checkpoint) await this.#workspace.unload(run);
      this.#checkpoint?.note(run, this.#added);
      this.#runs.push(run);
      return;
    }
    await this.#append(batch);
  }

  async #append(batch: KeyedBatch): Promise<void> {
    if (!this.#hasRoomFor(batch)) await this.#spill();
    this.#tail.add(batch);
    const chain = this.#gathered;
    await appendBatch(this.#workspace, batch, () => chain);
    this.#added += batch.count;
  }

  get #large(): number {
    return this.#workspace.byteLength / 8;
  }

  #hasRoomFor(batch: KeyedBatch): boolean {
    const { count, ends } = batch;
    const { blockSize, capacity } = this.#workspace;
    const { length, records } = this.#gathered;
    const more = (ends[count - 1] ?? 0) + keyBytes(batch) + count * frameCost(0, 0);
    const bytes = length * blockSize + more + sortCost(records + count);
    return bytes <= capacity * blockSize * GATHERED_SHARE;
  }

  async #spill(): Promise<void> {
    const gathered = this.#gathered;
    if (gathered.records === 0) return;
    const { isSame } = this.#tail;
    this.#gathered = this.#pinnedChain();
    this.#tail = new KeyTail();
    const run = await this.#write((visit) => this.#inMemory(gathered, isSame, visit));
    this.#checkpoint?.note(run, this.#added);
    this.#runs.push(run);
  }

  /** Writes all frames of a walk to a chain of their own. */
  async #write(walk: RecordWalk): Promise<Chain> {
    const run = this.#workspace.chain();
    const large = WALKED_BLOCKS * this.#workspace.blockSize;
    const append = ({ bytes, keyStart, keyEnd, end, low, high }: SortedRecord) => {
      if (end - keyStart >= large) {
        return run.appendLarge(bytes, keyStart, keyEnd, bytes, keyEnd, end, low, high);
      }
      run.append(bytes, keyStart, keyEnd, bytes, keyEnd, end, low, high);
      return undefined;
    };
    await this.#workspace.reserve(2 * WALKED_BLOCKS);
    for await (const _ of walk(append)) await this.#workspace.reserve(2 * WALKED_BLOCKS);
    await this.#workspace.unload(run);
    return run;
  }

  /**
   * Calls `visit` with every frame in order, and yields now and then. Nothing can be added afterwards.
   */
  async *walk(visit: (record: SortedRecord) => void): AsyncGenerator<void> {
    this.#charge(0);
    if (this.#runs.length === 0) {
      yield* this.#inMemory(this.#gathered, this.#tail.isSame, visit);
      return;
    }
    const merge = await this.merge();
    try {
      yield* this.#merged(merge, visit);
    } finally {
      await merge.close();
    }
  }

  /** All frames, as a merge of spilled runs, which the caller has to close. */
  async merge(): Promise<Merge> {
    if (this.#added < this.#recalled) throw otherSource(this.#added, this.#recalled);
    await this.#spill();
    this.#charge(0);
    // Merge neighbours, from the first to the last and again, until the rest can be merged at once.
    const hasAll = () => Merge.width(this.#workspace, this.#runs) === this.#runs.length;
    for (let from = 0; !hasAll(); from = from + 2 < this.#runs.length ? from + 1 : 0) {
      const width = Merge.width(this.#workspace, this.#runs.slice(from));
      const merge = new Merge(this.#workspace, this.#runs.slice(from, from + width));
      try {
        await merge.start();
        const merged = await this.#write((visit) => this.#merged(merge, visit));
        // Before the merged chains give up their space.
        this.#checkpoint?.note(merged, this.#added, { from, count: width });
        this.#runs.splice(from, width, merged);
      } finally {
        await merge.close();
      }
    }
    const merge = new Merge(this.#workspace, this.#runs);
    await merge.start();
    return merge;
  }

  /** @param isDecided whether keys that share their first 8 bytes are equal. */
  async *#inMemory(chain: Chain, isDecided: boolean, visit: RecordVisit): AsyncGenerator<void> {
    const cost = sortCost(chain.records);
    this.#workspace.charge(cost);
    let loaded: LoadedChain | undefined;
    try {
      loaded = new LoadedChain(await chain.load(), this.#workspace.blockSize);
      const addresses = await sortedOrder(loaded, chain.records, isDecided);
      const most = WALKED_BLOCKS * this.#workspace.blockSize;
      let walked = 0;
      for (let from = 0; from < addresses.length; from += TOUCHED) {
        const to = Math.min(addresses.length, from + TOUCHED);
        loaded.touch(addresses, from, to);
        for (let i = from; i < to; i++) {
          loaded.look(addresses[i]!);
          const visiting = visit(loaded);
          if (visiting) await visiting;
          walked += loaded.end - loaded.keyStart;
          if (walked < most) continue;
          walked = 0;
          yield;
        }
      }
      yield;
    } finally {
      loaded?.leave();
      this.#workspace.uncharge(cost);
      await chain.discard();
    }
  }

  async *#merged(merge: Merge, visit: RecordVisit): AsyncGenerator<void> {
    const most = WALKED_BLOCKS * this.#workspace.blockSize;
    let walked = 0;
    for (let frame = merge.first; frame; frame = merge.first) {
      const visiting = visit(frame);
      if (visiting) {
        await visiting;
        frame.leaveFrame();
      }
      walked += frame.end - frame.keyStart;
      // Yield before the next frame is read, because this one may be as large as memory.
      if (walked >= most) {
        walked = 0;
        yield;
      }
      const reading = merge.next();
      if (reading) await reading;
    }
    yield;
  }
}

/** May return a promise; once it has resolved, the frame is no longer needed. */
type RecordVisit = (record: SortedRecord) => Promise<void> | undefined | void;
type RecordWalk = (visit: RecordVisit) => AsyncGenerator<void>;

/** The share of memory in which frames are gathered and sorted; the blocks of the run being written take the rest. */
const GATHERED_SHARE = 0.875;
/** For each byte of a record, a source of objects holds 1.5: of the object, and of the text made of it. */
const SOURCE_SHARE = 1.5;
/** Frames that are prefetched: they stay in the cache until they are visited. */
const TOUCHED = 64;
/** Blocks of frames between two yields. */
const WALKED_BLOCKS = 2;

function otherSource(records: number, recalled: number): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The checkpoint holds the runs of ${recalled} records, and the source has ${records}: it is that of another source. Remove it to sort anew.`,
  );
}

/** Bytes of a batch's keys, which lie end to end. */
function keyBytes({ count, keyStarts, keyEnds }: KeyedBatch): number {
  return count === 0 ? 0 : keyEnds[count - 1]! - keyStarts[0]!;
}

function recordOf(batch: KeyedBatch, index: number): KeyedBatch {
  const start = index === 0 ? 0 : batch.ends[index - 1]!;
  const end = batch.ends[index]!;
  return {
    count: 1,
    bytes: batch.bytes.subarray(start, end),
    ends: Uint32Array.of(end - start),
    keys: batch.keys,
    keyStarts: batch.keyStarts.subarray(index, index + 1),
    keyEnds: batch.keyEnds.subarray(index, index + 1),
    hashLow: batch.hashLow.subarray(index, index + 1),
    hashHigh: batch.hashHigh.subarray(index, index + 1),
  };
}

/**
 * Tracks whether the first 8 bytes alone tell the keys apart, because all keys have the same length and
 * the same bytes after these. This holds for whole numbers below 2^45, dates and booleans. Keys with
 * equal prefixes are then equal, so ties need no look at their frames.
 */
class KeyTail {
  isSame = true;
  #first: Uint8Array | undefined;

  add({ count, keys, keyStarts, keyEnds }: KeyedBatch): void {
    if (!this.isSame || count === 0) return;
    if (keyEnds[0]! - keyStarts[0]! > LONGEST) {
      this.isSame = false;
      return;
    }
    const first = this.#first ?? new Uint8Array(keys.subarray(keyStarts[0], keyEnds[0]));
    this.#first = first;
    const { length } = first;
    for (let i = 0; i < count; i++) {
      const start = keyStarts[i]!;
      let same = keyEnds[i]! - start === length;
      for (let at = PREFIX; at < length; at++) same &&= keys[start + at] === first[at];
      if (same) continue;
      this.isSame = false;
      return;
    }
  }
}

/** Bytes of a key that are compared as two words. */
const PREFIX = 8;
/** Bytes of the longest key that is looked at: longer keys are text, whose tails hardly ever agree. */
const LONGEST = 16;
