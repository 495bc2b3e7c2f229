import { decodeGroupKey } from "@partd/records";
import { stepping, type Visit } from "../run/walk.js";
import type { Merge } from "../sort/merge.js";
import { word } from "../sort/sorted-order.js";
import { Sorter } from "../sort/sorter.js";
import type { RecordCodec } from "../source/input.js";
import { batchOfOne, type KeyedRecord } from "../source/keyed-batch.js";
import { isDigest } from "../source/short-keys.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { DEEPEST_LEVEL, Fan } from "../spill/fan.js";
import { LONG_BYTES } from "../spill/frame.js";
import { sameBytes } from "../spill/same-bytes.js";
import type { Workspace } from "../spill/workspace.js";
import { LongKey, StoredGroup } from "./group.js";
import { GroupTable } from "./group-table.js";

/**
 * Yields the groups of a chain, which is used up. What fits in memory is grouped there; otherwise the
 * chain is spread over chains, and each of those is grouped at the next level. A single group is
 * streamed.
 */
export async function* chainGroups<K, R>(
  workspace: Workspace,
  chain: Chain,
  codec: RecordCodec<R>,
  level: number,
): AsyncGenerator<readonly StoredGroup<K, R>[]> {
  if (chain.records === 0) return chain.discard();
  if (fitsInMemory(workspace, chain)) {
    yield* loadedGroups(workspace, chain, codec);
  } else if (chain.isUniform) {
    yield* singleGroup(workspace, chain, codec);
  } else if (level > DEEPEST_LEVEL) {
    // The keys were made to have equal hashes.
    yield* sortedGroups(workspace, chain, codec);
  } else {
    await workspace.unload(chain);
    const fan = new Fan(workspace, level, chain);
    await fan.drain(chain);
    for (const child of fan.ended()) yield* chainGroups<K, R>(workspace, child, codec, level + 1);
  }
}

/**
 * Whether the chain can be grouped in memory, including its index and room to go on.
 *
 * @param more bytes that will be appended.
 */
export function fitsInMemory(workspace: Workspace, chain: Chain, more = 0): boolean {
  // A long record is joined from its blocks when it is read.
  const joined = chain.longest < LONG_BYTES ? 0 : chain.longest;
  const blocks = chain.length * workspace.blockSize;
  const bytes = more + blocks + joined + GroupTable.cost(chain.records);
  return bytes <= workspace.capacity * workspace.blockSize * LOADED_SHARE;
}

/** The share of memory for a chain that is grouped there. */
const LOADED_SHARE = 0.7;

async function* loadedGroups<K, R>(
  workspace: Workspace,
  chain: Chain,
  codec: RecordCodec<R>,
): AsyncGenerator<readonly StoredGroup<K, R>[]> {
  const cost = GroupTable.cost(chain.records);
  workspace.charge(cost);
  let table: GroupTable | undefined;
  const longKeys: LongKey<K>[] = [];
  try {
    const groups = new GroupTable(await chain.load(), workspace.blockSize);
    table = groups;
    await groups.build();
    let batch: StoredGroup<K, R>[] = [];
    for (let index = 0; index < groups.count; index++) {
      const { bytes, keyStart, keyEnd } = groups.look(index);
      const key = isDigest(bytes, keyStart)
        ? new LongKey<K>((use) =>
            groups.withFirst(index, (first) =>
              codec.withKey!(first.bytes, first.keyEnd, first.end, use),
            ),
          )
        : (decodeGroupKey(bytes, keyStart, keyEnd) as K);
      batch.push(new StoredGroup(key, groups.walk(index), codec, workspace.signal));
      if (key instanceof LongKey) longKeys.push(key);
      if (batch.length < GROUPS_AT_ONCE) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  } finally {
    for (const key of longKeys) key.end();
    table?.leave();
    workspace.uncharge(cost);
    await chain.discard();
  }
}

/** How many groups are yielded at a time. */
const GROUPS_AT_ONCE = 256;

/** The key of a record. A long one is read from the record, which alone has it. */
function keyOf<K>(codec: RecordCodec<unknown>, frame: KeyedRecord): K | LongKey<K> {
  const { bytes, keyStart, keyEnd, end } = frame;
  if (!isDigest(bytes, keyStart)) return decodeGroupKey(bytes, keyStart, keyEnd) as K;
  return new LongKey((use) => codec.withKey!(bytes, keyEnd, end, use));
}

async function* singleGroup<K, R>(
  workspace: Workspace,
  chain: Chain,
  codec: RecordCodec<R>,
): AsyncGenerator<readonly StoredGroup<K, R>[]> {
  const reader = new ChainReader(workspace, chain, { consume: true });
  let key: K | LongKey<K> | undefined;
  const leaveFirst = () => {
    if (key instanceof LongKey) key.hold(workspace);
  };
  try {
    await reader.read();
    key = keyOf<K>(codec, reader);
    yield [
      new StoredGroup<K, R>(
        key,
        stepping((visit) => restOf(reader, visit, chain.records > 1, leaveFirst)),
        codec,
        workspace.signal,
      ),
    ];
  } finally {
    if (key instanceof LongKey) key.end();
    await reader.close();
    await chain.discard();
  }
}

/** Visits the present record and all that follow. */
async function* restOf(
  reader: ChainReader,
  visit: Visit,
  hasMore: boolean,
  leaveFirst: () => void,
): AsyncGenerator<void> {
  let isFirst = true;
  do {
    do {
      visit(reader.bytes, reader.keyEnd, reader.end, reader.isOwn);
      if (reader.isLong) yield;
      if (isFirst && hasMore) leaveFirst();
      isFirst = false;
    } while (hasMore && reader.next());
    yield;
  } while (hasMore && (await reader.read()));
}

/**
 * Yields the groups of a chain after sorting it by key, for keys that were made to have equal hashes. This
 * is slower, but right for any keys.
 */
async function* sortedGroups<K, R>(
  workspace: Workspace,
  chain: Chain,
  codec: RecordCodec<R>,
): AsyncGenerator<readonly StoredGroup<K, R>[]> {
  const merge = await sortedByKey(workspace, chain);
  try {
    for (let frame = merge.first; frame; frame = merge.first) {
      const key = new Uint8Array(frame.bytes.subarray(frame.keyStart, frame.keyEnd));
      const found = keyOf<K>(codec, frame);
      const name = found instanceof LongKey ? found.read() : found;
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
    // Before the frame is left, which frees a long one.
    if (walked >= BYTES_AT_ONCE) {
      walked = 0;
      yield;
    }
    const reading = merge.next();
    if (reading) await reading;
  }
  yield;
}

/** Bytes of records that are visited at a time. */
const BYTES_AT_ONCE = 128 << 10;
