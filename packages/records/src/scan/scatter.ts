import { PartdError } from "@partd/core";
import { partitionOf } from "../key/hash.js";
import type { Scan, Scattered } from "../records.js";

/** Orders records by partition: a counting sort in plain JavaScript. */
export function scatter(
  { bytes, ends, count }: Scan,
  assignment: ArrayLike<number>,
  partitions: number,
): Scattered {
  checkPartitions(partitions);
  const offsets = new Uint32Array(partitions + 1);
  const counts = new Uint32Array(partitions);
  for (let i = 0, start = 0; i < count; i++) {
    const end = ends[i]!;
    const to = assignment[i]!;
    if (!(to >= 0 && to < partitions)) throw outOfRange(to, partitions);
    offsets[to + 1]! += end - start;
    counts[to]!++;
    start = end;
  }
  for (let p = 0; p < partitions; p++) offsets[p + 1]! += offsets[p]!;
  const scattered = new Uint8Array(offsets[partitions]!);
  const next = offsets.slice();
  for (let i = 0, start = 0; i < count; i++) {
    const end = ends[i]!;
    const to = assignment[i]!;
    scattered.set(bytes.subarray(start, end), next[to]!);
    next[to]! += end - start;
    start = end;
  }
  return { bytes: scattered, offsets, counts };
}

/** Orders records by the partitions of their keys' hashes. */
export function partition(scan: Scan, partitions: number): Scattered {
  const { count, hashLow, hashHigh } = scan;
  const assignment = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    assignment[i] = partitionOf(hashLow[i]!, hashHigh[i]!, partitions);
  }
  return scatter(scan, assignment, partitions);
}

/** @throws `ERR_PARTD_VALUE` unless `partitionOf` is exact for this number. */
export function checkPartitions(partitions: number): void {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= 2 ** 21) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `The number of partitions is a whole number from 1 to 2^21, not ${partitions}.`,
  );
}

export function outOfRange(partition: number, partitions: number): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    `A record was assigned to partition ${partition}, but there are those from 0 to ${partitions - 1}.`,
  );
}
