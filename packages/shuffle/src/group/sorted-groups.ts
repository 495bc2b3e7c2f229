import { decodeGroupKey } from "@partd/records";
import { stepping, type Visit } from "../run/walk.js";
import type { Merge } from "../sort/merge.js";
import { word } from "../sort/sorted-order.js";
import { Sorter } from "../sort/sorter.js";
import type { RecordCodec } from "../source/input.js";
import { batchOfOne } from "../source/keyed-batch.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { sameBytes } from "../spill/same-bytes.js";
import type { Workspace } from "../spill/workspace.js";
import { StoredGroup } from "./group.js";

/**
 * Yields the groups of a chain after sorting it by key, if hashes do not tell the keys apart because
 * someone made keys of equal hashes. This is slower, but exact for any keys.
 */
export async function* sortedGroups<K, R>(
  workspace: Workspace,
  chain: Chain,
  codec: RecordCodec<R>,
): AsyncGenerator<readonly StoredGroup<K, R>[]> {
  const merge = await sortedByKey(workspace, chain);
  try {
    for (let frame = merge.first; frame; frame = merge.first) {
      const key = new Uint8Array(frame.bytes.subarray(frame.keyStart, frame.keyEnd));
      const name = decodeGroupKey(key, 0, key.length) as K;
      yield [
        new StoredGroup<K, R>(
          name,
          stepping((visit) => sameKeyed(merge, key, visit)),
          codec,
          workspace.signal,
        ),
      ];
      for await (const _ of sameKeyed(merge, key, () => {})); // Skip what was not read.
    }
  } finally {
    await merge.close();
  }
}

async function sortedByKey(workspace: Workspace, chain: Chain): Promise<Merge> {
  const sorter = new Sorter(workspace);
  const reader = new ChainReader(workspace, chain, { consume: true });
  try {
    while (await reader.read()) {
      const { bytes, keyStart, keyEnd } = reader;
      const [low, high] = [word(bytes, keyStart + 4, keyEnd), word(bytes, keyStart, keyEnd)];
      await sorter.add(batchOfOne(reader, low, high));
    }
  } finally {
    await reader.close();
    await chain.discard();
  }
  return sorter.merge();
}

async function* sameKeyed(merge: Merge, key: Uint8Array, visit: Visit): AsyncGenerator<void> {
  let walked = 0;
  for (let frame = merge.first; frame; frame = merge.first) {
    const { bytes, keyStart, keyEnd, end } = frame;
    if (!sameBytes(bytes, keyStart, keyEnd, key, 0, key.length)) break;
    visit(bytes, keyEnd, end);
    walked += end - keyEnd;
    const reading = merge.next();
    if (reading) await reading;
    if (walked < BYTES_AT_ONCE) continue;
    walked = 0;
    yield;
  }
  yield;
}

const BYTES_AT_ONCE = 128 << 10;
