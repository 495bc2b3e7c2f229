import { writeSync } from "node:fs";
import {
  type ByteBatch,
  openPart,
  partitionOf,
  type Records,
  type RecordsPart,
  type Scan,
  type Scanner,
  type Scattered,
} from "@partd/records";
import { batchOptions, type RecordLimit } from "../run/record-limit.js";
import { type Missing, presentIn } from "../source/missing.js";
import type { PartTurns } from "./part-turns.js";

/**
 * Writes records straight to the file of their partition, in the order in which their scanner puts
 * them: no copy here, and no look at single records.
 */
export class Scatter {
  readonly #fields: readonly string[];
  readonly #missing: Missing;
  readonly #limit: RecordLimit;
  readonly #files: readonly number[];
  /** Where the next record of each file goes. Threads share it. */
  readonly #positions: Float64Array;

  /** @param files their descriptors, one a partition; all threads write to the same. */
  constructor(
    fields: readonly string[],
    missing: Missing,
    files: readonly number[],
    positions: Float64Array,
    limit: RecordLimit,
  ) {
    this.#fields = fields;
    this.#limit = limit;
    this.#missing = missing;
    this.#positions = positions;
    this.#files = files;
  }

  /** Writes the header of each file. */
  begin(header: Uint8Array | undefined): void {
    if (!header) return;
    for (const file of this.#files) writeAll(file, header, 0, header.length, 0);
    this.#positions.fill(header.length);
  }

  async all(
    records: Records<unknown>,
    signal: AbortSignal | undefined,
    onBatch: (scan: Scan, bytes: number) => void,
  ): Promise<void> {
    const scanner = records.format.scanner(this.#fields);
    const options = batchOptions({ signal, limit: this.#limit });
    let consumed = 0;
    for await (const batch of records.batches({ ...options, batchBytes: PART_BYTES })) {
      // The header is known once there is a batch.
      if (consumed === 0) this.begin(records.format.header);
      const scan = scanner.scan(batch);
      const scattered = this.#scatter(scan, batch);
      scattered.write(this.#reserve(scattered.offsets));
      onBatch(scan, batch.consumed - consumed);
      consumed = batch.consumed;
    }
    if (consumed === 0) this.begin(records.format.header);
  }

  /**
   * Scatters parts as `turns` hands them out.
   *
   * @param onBatch gets a batch that has its places, before it is written; other threads wait for that
   *   message.
   */
  async parts(
    parts: readonly RecordsPart[],
    turns: PartTurns,
    onBatch: (records: number, bytes: number) => void,
  ): Promise<void> {
    // Reused for all parts: new memory for each took as long as the scan.
    const kept: Kept = { into: new Uint8Array(READ_BYTES) };
    for (;;) {
      const number = turns.take();
      let part = parts[number];
      if (!part) return;
      for (;;) {
        const outcome = await this.#part(part, number, kept, turns, onBatch);
        if (outcome === "stopped") return;
        if (outcome === "done") break;
        part = { ...part, start: turns.startOf(part) };
      }
    }
  }

  /**
   * Scans a part, then writes it in its turn. If the part before has ended elsewhere than this part's
   * guessed start, nothing is written.
   */
  async #part(
    part: RecordsPart,
    number: number,
    kept: Kept,
    turns: PartTurns,
    onBatch: (records: number, bytes: number) => void,
  ): Promise<"done" | "stopped" | "misplaced"> {
    const records = openPart(part);
    kept.scanner ??= records.format.scanner(this.#fields);
    let isPlaced = false;
    let isPassed = false;
    const place = async () => {
      if (isPlaced) return undefined;
      if (!(await turns.reached(number))) return "stopped";
      isPlaced = turns.startOf(part) === part.start;
      return isPlaced ? undefined : "misplaced";
    };
    const options = { ...batchOptions({ limit: this.#limit }), into: kept.into };
    try {
      for await (const batch of records.batches(options)) {
        const scan = kept.scanner.scan(batch);
        const scattered = this.#scatter(scan, batch);
        const hindrance = await place();
        if (hindrance) return hindrance;
        const places = this.#reserve(scattered.offsets);
        // A part with long records has more batches, in the same turn.
        isPassed = records.reached >= part.end;
        if (isPassed) turns.pass(number, records.reached);
        onBatch(scan.count, scan.bytes.length);
        scattered.write(places);
      }
    } catch (error) {
      // Of several malformed records, the first in the input is the error: it waits for its turn, too.
      const hindrance = await place();
      if (hindrance) return hindrance;
      throw error;
    }
    const hindrance = await place();
    if (hindrance) return hindrance;
    if (!isPassed) {
      turns.pass(number, records.reached);
      onBatch(0, 0);
    }
    return "done";
  }

  /** The batch by partition, without records that lack their key if these are left out. */
  #scatter(scan: Scan, batch: ByteBatch): Placed {
    const partitions = this.#files.length;
    const present = presentIn(scan, batch, this.#fields, this.#missing);
    const isHuge = scan.bytes.length >= HUGE;
    if (!present && !isHuge) return this.#ordered(scan.partition(partitions));
    const assignment = new Uint32Array(scan.count).fill(partitions);
    for (let n = 0; n < (present?.length ?? scan.count); n++) {
      const i = present?.[n] ?? n;
      assignment[i] = partitionOf(scan.hashLow[i]!, scan.hashHigh[i]!, partitions);
    }
    return isHuge
      ? this.#unordered(scan, assignment)
      : this.#ordered(scan.scatter(assignment, partitions + 1));
  }

  #ordered({ bytes, offsets }: Scattered): Placed {
    return {
      offsets,
      write: (places) => {
        for (const [p, file] of this.#files.entries()) {
          writeAll(file, bytes, offsets[p]!, offsets[p + 1]!, places[p]!);
        }
      },
    };
  }

  /** Writes record by record, because ordering them by partition would copy a huge one. */
  #unordered({ bytes, ends, count }: Scan, assignment: Uint32Array): Placed {
    const offsets = new Uint32Array(this.#files.length + 2);
    const startOf = (i: number) => (i === 0 ? 0 : ends[i - 1]!);
    for (let i = 0; i < count; i++) offsets[assignment[i]! + 1]! += ends[i]! - startOf(i);
    for (let p = 1; p < offsets.length; p++) offsets[p]! += offsets[p - 1]!;
    return {
      offsets,
      write: (places) => {
        for (let i = 0; i < count; i++) {
          const p = assignment[i]!;
          const file = this.#files[p];
          if (file === undefined) continue;
          writeAll(file, bytes, startOf(i), ends[i]!, places[p]!);
          places[p]! += ends[i]! - startOf(i);
        }
      },
    };
  }

  /** Reserves the places of a batch in all files. */
  #reserve(offsets: Uint32Array): Float64Array {
    const places = this.#positions.slice();
    for (let p = 0; p < this.#files.length; p++) {
      this.#positions[p]! += offsets[p + 1]! - offsets[p]!;
    }
    return places;
  }
}

/** Memory that is reused for each part. */
interface Kept {
  readonly into: Uint8Array<ArrayBuffer>;
  scanner?: Scanner;
}

/** The records of a batch, each with its partition. */
interface Placed {
  /** The records of partition `p` take `offsets[p + 1] - offsets[p]` bytes. */
  readonly offsets: Uint32Array;
  /** @param places where the records of each partition go in its file. */
  write(places: Float64Array): void;
}

/** A batch of this many bytes has a huge record. */
const HUGE = 8 << 20;

/** Bytes of a part: 64 KiB for each of 64 files. */
export const PART_BYTES = 4 << 20;
/** Room for a part, and for the record that crosses its end. */
const READ_BYTES = PART_BYTES + (64 << 10);

function writeAll(
  file: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  position: number,
): void {
  for (let at = start; at < end; ) {
    at += writeSync(file, bytes, at, end - at, position + at - start);
  }
}
