import { decodeGroupKey, type GroupKey } from "../key/group-key.js";
import type { Scan, Scattered } from "../records.js";
import { checkPartitions, outOfRange, partition, scatter } from "./scatter.js";
import { MOST_PARTITIONS, type ScanMemory } from "./wasm-memory.js";

/** The results of a scan, as views of the scanner's memory. */
export class WasmScan implements Scan {
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
