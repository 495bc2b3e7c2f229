import { PartdError } from "@partd/core";
import { decodeGroupKey, type GroupKey, KEY_TAG } from "../key/group-key.js";
import type {
  ByteBatch,
  OnReject,
  Partners,
  Scan,
  Scanner,
  Scattered,
  Totals,
} from "../records.js";
import { checkPartitions, outOfRange, PlainScanner, partition, scatter } from "./plain-scanner.js";
import {
  type RecordMatcher,
  RecordReader,
  type ScanPlan,
  type WasmSyntax,
} from "./record-matcher.js";
import { MOST_PARTITIONS, ScanMemory } from "./wasm-memory.js";

/** The fastest scanner for these fields, for batches of any size. */
export function openScanner(syntax: WasmSyntax, matcher: RecordMatcher, plan: ScanPlan): Scanner {
  if (plan.keys + plan.values > 32) {
    throw new PartdError("ERR_PARTD_VALUE", "A scanner finds at most 32 fields.");
  }
  const wasm = WasmScanner.create(syntax, matcher, plan);
  const plain = new PlainScanner(matcher, plan);
  return {
    scan(batch: ByteBatch): Scan {
      return wasm && batch.bytes.length <= ScanMemory.MOST_BYTES
        ? wasm.scan(batch)
        : plain.scan(batch);
    },
    totals: wasm?.totals,
    partners: wasm?.partners,
  };
}

/**
 * A scanner in WebAssembly, about ten times as fast as the plain one, which takes over for each
 * difficult record: see `scan.c`.
 */
export class WasmScanner implements Scanner {
  readonly totals: Totals | undefined;
  readonly partners: Partners | undefined;
  readonly #isCsv: boolean;
  readonly #values: number;
  readonly #hasKey: boolean;
  readonly #syntax: WasmSyntax;
  readonly #reader: RecordReader;
  readonly #onReject: OnReject | undefined;
  readonly #memory: ScanMemory;
  #last: Scan | undefined;

  /**
   * The scanner, or `undefined` if this runtime has no WebAssembly or there are too many fields.
   */
  static create(
    syntax: WasmSyntax,
    matcher: RecordMatcher,
    plan: ScanPlan,
  ): WasmScanner | undefined {
    const memory = ScanMemory.create(syntax, plan);
    return memory && new WasmScanner(memory, syntax, matcher, plan);
  }

  private constructor(
    memory: ScanMemory,
    syntax: WasmSyntax,
    matcher: RecordMatcher,
    { keys, values, onReject, totals: keepsTotals, partners }: ScanPlan,
  ) {
    this.#memory = memory;
    this.#syntax = syntax;
    this.#isCsv = syntax.name === "csv";
    this.#values = values;
    this.#hasKey = keys > 0;
    this.#reader = new RecordReader(matcher, keys, values);
    this.#onReject = onReject;
    const { totals } = memory;
    if (totals && keepsTotals) {
      this.totals = {
        add: (scan) => scan === this.#last && memory.addToTotals(),
        firsts: () => memory.newKeys(),
        take: () => totals.take(),
        get byteLength() {
          return totals.byteLength;
        },
      };
    }
    const kept = memory.partners;
    if (totals && kept && partners) {
      const reader = new RecordReader(partners.matcher, keys, 0);
      this.partners = {
        keep: (batch) => this.#keep(batch, partners.syntax, reader),
        lines: (scan, kind) =>
          scan === this.#last ? memory.lines(JOIN_KINDS.indexOf(kind)) : undefined,
        get byteLength() {
          return totals.byteLength + kept.used;
        },
      };
    }
  }

  /** @param batch at most {@link ScanMemory.MOST_BYTES} long. */
  scan(batch: ByteBatch): Scan {
    const memory = this.#memory;
    this.#last = undefined;
    memory.find(this.#syntax);
    memory.load(batch.bytes, this.totals !== undefined);
    while (memory.scan(this.#isCsv) === "ask") this.#ask(batch, this.#reader);
    this.#last = new WasmScan(memory, batch.bytes, this.#values);
    return this.#last;
  }

  /** Holds the records of a batch, unless it is too large, or all that is held. */
  #keep(batch: ByteBatch, syntax: WasmSyntax, reader: RecordReader): boolean {
    const memory = this.#memory;
    this.#last = undefined;
    const { length } = batch.bytes;
    if (length > ScanMemory.MOST_BYTES || memory.partners!.used > MOST_KEPT) return false;
    memory.find(syntax);
    memory.load(batch.bytes, true);
    while (memory.scan(this.#isCsv) === "ask") this.#ask(batch, reader);
    if (memory.keyBytesAtMost > 2 * length) return false; // The room for the batch's keys.
    memory.exports.keepRecords();
    return true;
  }

  /** Lets the plain scanner read the record at which the scan stopped. */
  #ask(batch: ByteBatch, reader: RecordReader): void {
    const memory = this.#memory;
    const start = memory.at;
    const end = reader.read(batch, start);
    if (reader.error) {
      if (!this.#onReject) throw reader.error;
      this.#onReject({
        bytes: new Uint8Array(batch.bytes.subarray(start, end)),
        error: reader.error,
      });
    } else if (!reader.isBlank) {
      if (this.#hasKey) {
        // `scan.c` looks for null only in lists of JSON.
        const isLone = memory.partners && reader.key[0] === KEY_TAG.list && hasNull(reader.key);
        memory.addKey(reader.key, isLone || reader.isMissing);
      }
      for (let value = 0; value < this.#values; value++) {
        memory.setNumber(value, reader.kinds[value]!, reader.numbers[value]!);
      }
      memory.keep(end - start);
    }
    memory.at = end;
  }
}

function hasNull(list: Uint8Array): boolean {
  return (decodeGroupKey(list) as readonly unknown[]).includes(null);
}

/** The kinds of a join; their indices are those of `scan.c`. */
const JOIN_KINDS = ["inner", "left", "semi", "anti"];
/** Bytes of kept records: memory ends at 4 GiB. */
const MOST_KEPT = 2 ** 30;

/** The results of a scan, as views of the scanner's memory. */
class WasmScan implements Scan {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
  readonly keys: Uint8Array;
  readonly keyStarts: Uint32Array;
  readonly keyEnds: Uint32Array;
  readonly hashLow: Uint32Array;
  readonly hashHigh: Uint32Array;
  readonly #isMissing: Uint8Array;
  readonly #numbers: Float64Array[];
  readonly #kinds: Uint8Array[];
  readonly #memory: ScanMemory;

  constructor(memory: ScanMemory, bytes: Uint8Array, values: number) {
    const { buffer, count, kept, layout } = memory;
    const words = (address: number) => new Uint32Array(buffer, address, count);
    const hashed = layout.hashLow === layout.hashHigh ? 0 : count;
    this.count = count;
    this.bytes = kept === bytes.length ? bytes : new Uint8Array(buffer, layout.input, kept);
    this.ends = words(layout.ends);
    this.keys = new Uint8Array(buffer);
    this.keyStarts = new Uint32Array(buffer, layout.keyStarts, hashed);
    this.keyEnds = new Uint32Array(buffer, layout.keyEnds, hashed);
    this.hashLow = new Uint32Array(buffer, layout.hashLow, hashed);
    this.hashHigh = new Uint32Array(buffer, layout.hashHigh, hashed);
    this.#isMissing = new Uint8Array(buffer, layout.isMissing, count);
    this.#numbers = Array.from(
      { length: values },
      (_, v) => new Float64Array(buffer, layout.numbers + 8 * v * layout.room, count),
    );
    this.#kinds = Array.from(
      { length: values },
      (_, v) => new Uint8Array(buffer, layout.kinds + v * layout.room, count),
    );
    this.#memory = memory;
  }

  key(i: number): GroupKey {
    return decodeGroupKey(this.keys, this.keyStarts[i], this.keyEnds[i]);
  }

  missing(i: number): boolean {
    return this.#isMissing[i] === 1;
  }

  numbers(value: number): Float64Array {
    return this.#numbers[value]!;
  }

  kinds(value: number): Uint8Array {
    return this.#kinds[value]!;
  }

  partition(partitions: number): Scattered {
    checkPartitions(partitions);
    if (partitions > MOST_PARTITIONS) return partition(this, partitions);
    this.#memory.exports.assign(partitions, this.#memory.layout.assignment);
    return this.#scatter(partitions);
  }

  scatter(assignment: ArrayLike<number>, partitions: number): Scattered {
    checkPartitions(partitions);
    if (partitions > MOST_PARTITIONS) return scatter(this, assignment, partitions);
    const { buffer, layout } = this.#memory;
    const words = new Uint32Array(buffer, layout.assignment, this.count);
    for (let i = 0; i < this.count; i++) {
      const partition = assignment[i]!;
      if (!(partition >= 0 && partition < partitions)) throw outOfRange(partition, partitions);
      words[i] = partition;
    }
    return this.#scatter(partitions);
  }

  /** Scatters by the assignment in the scanner's memory. */
  #scatter(partitions: number): Scattered {
    const { buffer, exports, layout, kept } = this.#memory;
    const offsets = new Uint32Array(buffer, layout.partitions, partitions + 1);
    const counts = new Uint32Array(buffer, offsets.byteOffset + offsets.byteLength, partitions);
    const next = counts.byteOffset + counts.byteLength;
    offsets.fill(0);
    counts.fill(0);
    exports.scatter(
      partitions,
      layout.assignment,
      offsets.byteOffset,
      counts.byteOffset,
      next,
      layout.scattered,
    );
    return { bytes: new Uint8Array(buffer, layout.scattered, kept), offsets, counts };
  }
}
