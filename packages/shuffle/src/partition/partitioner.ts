import { createHash } from "node:crypto";
import { PartdError } from "@partd/core";
import { checkIntegerOption } from "@partd/core/author";
import { decodeGroupKey, partitionOf } from "@partd/records";
import { OrderKeyWriter } from "../sort/order-key.js";

/**
 * Which partition a key goes to: `"hash"`, the same in every process; by ranges, see {@link range}; or
 * a function's result, from 0 to `partitions` - 1.
 */
export type Partitioner<K> = "hash" | Range | ((key: K, partitions: number) => number);

/** Boundaries between partitions. */
export interface Range {
  /** The first key of each partition but the first, in order. */
  readonly boundaries: readonly unknown[];
}

/**
 * Partitions by ranges of keys: those below the first boundary, those from there to below the second,
 * and so on.
 *
 * ```ts
 * shuffle(events, { by: "ms", partitioner: range([100, 1000]) }); // three partitions
 * ```
 */
export function range(boundaries: readonly unknown[]): Range {
  return { boundaries };
}

/** Finds the partitions of encoded keys. */
export interface PartitionFinder {
  readonly count: number;
  /** Tells partitioners apart; the same for all functions, which cannot be compared. */
  readonly name: string;
  find(keys: Uint8Array, start: number, end: number, low: number, high: number): number;
}

export function partitionFinder(
  partitioner: Partitioner<never> = "hash",
  partitions: number | undefined,
): PartitionFinder {
  if (typeof partitioner === "object") return new RangeFinder(partitioner, partitions);
  const count = checkIntegerOption("partitions", partitions ?? 64, 1, MOST_PARTITIONS);
  if (partitioner === "hash") {
    const find: PartitionFinder["find"] = (_keys, _start, _end, low, high) => {
      return partitionOf(low, high, count);
    };
    return { count, name: "hash", find };
  }
  return {
    count,
    name: "function",
    find(keys, start, end) {
      const key = decodeGroupKey(keys, start, end);
      const found = (partitioner as (key: unknown, partitions: number) => number)(key, count);
      if (Number.isInteger(found) && found >= 0 && found < count) return found;
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `The partitioner returned ${found}: it has to return a whole number from 0 to ${count - 1}.`,
      );
    },
  };
}

const MOST_PARTITIONS = 65_536;

class RangeFinder implements PartitionFinder {
  readonly count: number;
  readonly name: string;
  readonly #boundaries: readonly Uint8Array[];
  readonly #writer = new OrderKeyWriter();

  constructor({ boundaries }: Range, partitions: number | undefined) {
    this.count = boundaries.length + 1;
    this.#boundaries = boundaries.map((boundary) => new Uint8Array(this.#encode(boundary)));
    const digest = createHash("sha256");
    for (const boundary of this.#boundaries) digest.update(`${boundary.length} `).update(boundary);
    this.name = `range ${digest.digest("hex").slice(0, 16)}`;
    for (const [i, boundary] of this.#boundaries.entries()) {
      const before = this.#boundaries[i - 1];
      if (!before || Buffer.compare(before, boundary) < 0) continue;
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "The boundaries of a range must be in ascending order, without repetitions.",
      );
    }
    if (partitions === undefined || partitions === this.count) return;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${boundaries.length} boundaries make ${this.count} partitions, not ${partitions}: leave out partitions.`,
    );
  }

  find(keys: Uint8Array, start: number, end: number): number {
    const key = this.#encode(decodeGroupKey(keys, start, end));
    let low = 0;
    let high = this.#boundaries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.#boundaries[middle]!, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #encode(value: unknown): Uint8Array {
    this.#writer.clear();
    this.#writer.write(value, false);
    return this.#writer.bytes.subarray(0, this.#writer.length);
  }
}
