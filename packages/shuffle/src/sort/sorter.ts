import { PartdError } from "@partd/core";
import { type KeyedBatch, slice } from "../source/keyed-batch.js";
import type { Chain } from "../spill/chain.js";
import { appendBatch, hugeBytes } from "../spill/fan.js";
import type { Workspace } from "../spill/workspace.js";
import { Arranger, PIECE_BYTES } from "./arranger.js";
import type { Checkpoint } from "./checkpoint.js";
import { FETCHED, type GatheredRecords, type SortedRecord } from "./gathered-records.js";
import { KeyRanges } from "./key-ranges.js";
import { Merge } from "./merge.js";

/**
 * Sorts records by key; stable. What fits in memory is sorted there; otherwise sorted runs are spilled,
 * and merged.
 */
export class Sorter {
  readonly #workspace: Workspace;
  readonly #arranger = Arranger.open();
  #gathered: KeyRanges;
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
    this.#gathered = new KeyRanges(workspace, this.#arranger);
    this.#checkpoint = checkpoint;
    if (!checkpoint) return;
    const { runs, covered } = checkpoint.recall(workspace);
    this.#runs = runs;
    this.#recalled = covered;
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
      await this.#addOne(slice(batch, index, index + 1));
    }
  }

  /** Makes room for the source: spills what was gathered, which is pinned until then. */
  async makeRoom(bytes: number): Promise<void> {
    const { byteLength, sourceBytes } = this.#workspace;
    // A copy of the record's key may be as long as the record.
    const room = 2 * bytes;
    const left = byteLength - room;
    if (room > sourceBytes && this.#gathered.byteLength > left / 2) await this.#spill();
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
    const workspace = this.#workspace;
    const byteLength = (batch.ends[batch.count - 1] ?? 0) + keyBytes(batch);
    if (!this.#hasRoomFor(batch.count, byteLength)) await this.#spill();
    // Only a batch with a huge record is charged: the share for batches has room for the others.
    const held = Math.max(0, hugeBytes(batch) - workspace.sourceBytes);
    workspace.charge(held);
    try {
      const waiting = workspace.reserve(this.#gathered.blocksFor(byteLength));
      if (waiting) await waiting;
      this.#gathered.add(batch);
    } finally {
      workspace.uncharge(held);
    }
    this.#added += batch.count;
  }

  get #large(): number {
    return this.#workspace.byteLength / 8;
  }

  #hasRoomFor(count: number, byteLength: number): boolean {
    const { blockSize, capacity } = this.#workspace;
    const bytes = this.#gathered.byteLength + byteLength + this.#gathered.costOf(count);
    return bytes <= capacity * blockSize * GATHERED_SHARE;
  }

  async #spill(): Promise<void> {
    const gathered = this.#gathered;
    if (gathered.count === 0) return;
    this.#gathered = new KeyRanges(this.#workspace, this.#arranger);
    const run = await this.#write((visit) => this.#inMemory(gathered, visit, true));
    this.#checkpoint?.note(run, this.#added);
    this.#runs.push(run);
  }

  /** Writes all records of a walk, with their keys, to a chain of their own. */
  async #write(walk: RecordWalk): Promise<Chain> {
    const run = this.#workspace.chain();
    const large = WALKED_BLOCKS * this.#workspace.blockSize;
    const append = (record: SortedRecord) => {
      const { keys, keyStart, keyEnd, bytes, start, end, low, high } = record;
      if (end - start + keyEnd - keyStart >= large) {
        return run.appendLarge(keys, keyStart, keyEnd, bytes, start, end, low, high);
      }
      run.append(keys, keyStart, keyEnd, bytes, start, end, low, high);
      return undefined;
    };
    await this.#workspace.reserve(2 * WALKED_BLOCKS);
    for await (const _ of walk(append)) await this.#workspace.reserve(2 * WALKED_BLOCKS);
    await this.#workspace.unload(run);
    return run;
  }

  /**
   * Calls `visit` with every record in order, without its key, and yields now and then. Nothing can be added afterwards.
   *
   * @param joined gets records end to end instead, where that is faster.
   */
  async *walk(
    visit: (record: SortedRecord) => void,
    joined?: (records: Uint8Array) => void,
  ): AsyncGenerator<void> {
    this.#charge(0);
    if (this.#runs.length === 0) {
      yield* this.#inMemory(this.#gathered, visit, false, joined);
      return;
    }
    const merge = await this.merge();
    try {
      yield* this.#merged(merge, visit);
    } finally {
      await merge.close();
    }
  }

  /** All records, as a merge of spilled runs, which the caller has to close. */
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

  /** @param withKeys whether the records are visited with their keys. */
  async *#inMemory(
    gathered: KeyRanges,
    visit: RecordVisit,
    withKeys: boolean,
    joined?: (records: Uint8Array) => void,
  ): AsyncGenerator<void> {
    const arranger = joined && this.#arranger;
    try {
      for (const range of gathered.take()) {
        const isShort =
          Arranger.hasRoomFor(range.count, range.recordBytes) && !range.hasLonger(PIECE_BYTES);
        if (arranger && isShort) yield* this.#joinedRange(range, arranger, joined);
        else yield* this.#inRange(range, visit, withKeys);
      }
    } finally {
      gathered.release();
    }
  }

  async *#joinedRange(
    range: GatheredRecords,
    arranger: Arranger,
    joined: (records: Uint8Array) => void,
  ): AsyncGenerator<void> {
    try {
      const order = await range.sort();
      const move = (bytes: Uint8Array, starts: Uint32Array) => range.moveTo(bytes, starts);
      for (const piece of arranger.inOrder(order, range.recordBytes, move)) {
        joined(piece);
        yield;
      }
    } finally {
      range.release();
    }
  }

  async *#inRange(
    range: GatheredRecords,
    visit: RecordVisit,
    withKeys: boolean,
  ): AsyncGenerator<void> {
    try {
      const order = await range.sort();
      const most = WALKED_BLOCKS * this.#workspace.blockSize;
      let walked = 0;
      for (let from = 0; from < order.length; from += FETCHED) {
        range.fetch(order.subarray(from, from + FETCHED));
        const count = Math.min(FETCHED, order.length - from);
        for (let i = 0; i < count; i++) {
          range.look(i);
          if (withKeys) range.lookAtFetchedKey(i);
          const visiting = visit(range);
          if (visiting) await visiting;
          walked += range.end - range.start;
          if (withKeys) walked += range.keyEnd - range.keyStart;
          if (walked < most) continue;
          walked = 0;
          yield;
        }
      }
      yield;
    } finally {
      range.release();
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

/** The share of memory in which records are gathered and sorted; the blocks of the run being written take the rest. */
const GATHERED_SHARE = 0.875;
/** For each byte of a record, a source of objects holds 1.5: of the object, and of the text made of it. */
const SOURCE_SHARE = 1.5;
/** Blocks of records between two yields. */
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
