import { expect, test } from "@jest/globals";
import { sort } from "@partd/shuffle";
import { Merge } from "../src/sort/merge.js";
import { Sorter } from "../src/sort/sorter.js";
import { Chain } from "../src/spill/chain.js";
import { TemporaryFile } from "../src/spill/temporary-file.js";
import { Workspace } from "../src/spill/workspace.js";

test("as many runs are merged at a time as memory has room for their longest records with long keys", async () => {
  const memory = 8e6;
  const workspace = new Workspace(memory, new TemporaryFile(undefined));
  const chainsOf = (count: number, length: number, key = workspace.blockSize / 4) =>
    Array.from({ length: count }, () => {
      const chain = new Chain(workspace);
      const record = length + 10 - key;
      chain.append(new Uint8Array(key), 0, key, new Uint8Array(record), 0, record, 0, 0);
      return chain;
    });
  for (const [count, length] of [
    [40, 5000],
    [20, 100_000],
    [10, 300_000],
    [5, 1_300_000],
  ] as const) {
    const width = Merge.width(workspace, chainsOf(count, length));
    const room = Math.floor((workspace.capacity * workspace.blockSize) / 2 / (length + 10));
    expect(width).toBe(Math.min(count, 1 + room));
    expect((width - 1) * length).toBeLessThan(memory / 2);
  }
  // One that is longer is held in every merge, and keeps no others out.
  const one = [...chainsOf(3, 5000), ...chainsOf(1, 6e6), ...chainsOf(3, 5000)];
  expect(Merge.width(workspace, one)).toBe(7);
  // Two that are longer are merged nevertheless.
  expect(Merge.width(workspace, chainsOf(2, 5e6))).toBe(2);
  expect(Merge.width(workspace, chainsOf(1, 5000))).toBe(1);
  // With short keys, only the next record of all is read.
  expect(Merge.width(workspace, chainsOf(40, 1_300_000, 10))).toBe(40);
  await workspace.close();
});

test("records larger than memory are merged within it", async () => {
  const memory = 1e6;
  let held = 0;
  let peak = 0;
  const hold = (bytes: number) => {
    held += bytes;
    peak = Math.max(peak, held);
  };
  class CountedWorkspace extends Workspace {
    override take() {
      hold(this.blockSize);
      return super.take();
    }
    override release(blocks: Parameters<Workspace["release"]>[0]) {
      hold(-blocks.length * this.blockSize);
      super.release(blocks);
    }
  }
  const workspace = new CountedWorkspace(memory, new TemporaryFile(undefined));
  const sorter = new Sorter(workspace);
  // More runs than are merged at a time.
  const count = 40;
  for (let i = 0; i < count; i++) {
    const first = (i * 17) % count;
    const keys = Uint8Array.of(first >> 8, first & 255);
    const long = i % 20 === 3 ? 3e6 : 130_000;
    await sorter.add({
      count: 1,
      bytes: new Uint8Array(long).fill(first & 255),
      ends: Uint32Array.of(long),
      keys,
      keyStarts: Uint32Array.of(0),
      keyEnds: Uint32Array.of(2),
      hashLow: Uint32Array.of(0),
      hashHigh: Uint32Array.of(first << 16),
    });
  }
  let next = 0;
  for await (const _ of sorter.walk(({ bytes, keyStart, keyEnd, end }) => {
    expect(bytes[keyStart]! * 256 + bytes[keyStart + 1]!).toBe(next);
    expect([bytes[keyEnd], bytes[end - 1]]).toEqual([next & 255, next & 255]);
    next++;
  }));
  expect(next).toBe(count);
  expect(peak).toBeLessThan(1.1 * memory);
  await workspace.close();
});

test.each([
  ["short keys", "once", ["key"], 0.9, 1.1],
  ["long keys", "several times", ["key", "pad"], 3, 30],
] as const)("long records with %s are spilled %s", async (_keys, _times, by, least, most) => {
  const rows = Array.from({ length: 100 }, (_, i) => {
    return { key: (i * 37) % 9, i, pad: "x".repeat(i % 10 === 3 ? 100 : 60_000) };
  });
  const expected = rows
    .toSorted((a, b) => a.key - b.key || (by.length > 1 ? a.pad.length - b.pad.length : 0))
    .map(({ i }) => i);
  let spilled = 0;
  const onProgress = ({ bytesSpilled }: { readonly bytesSpilled: number }) => {
    spilled = bytesSpilled;
  };
  const sorted = sort(rows, { by, memory: 1e6, onProgress });
  const found = (await sorted.toArray()).map(({ i }) => i);
  expect(found).toEqual(expected);
  expect(spilled).toBeGreaterThan(least * 90 * 60_000);
  expect(spilled).toBeLessThan(most * 90 * 60_000);
});
