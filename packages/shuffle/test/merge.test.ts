import { expect, test } from "@jest/globals";
import { sort } from "@partd/shuffle";
import { Merge } from "../src/sort/merge.js";
import { Sorter } from "../src/sort/sorter.js";
import { Chain } from "../src/spill/chain.js";
import { TemporaryFile } from "../src/spill/temporary-file.js";
import { Workspace } from "../src/spill/workspace.js";

test("as many runs are merged at a time as memory has blocks for", async () => {
  const workspace = new Workspace(1e6, new TemporaryFile(undefined));
  const chains = Array.from({ length: 200 }, () => new Chain(workspace));
  const { capacity } = workspace;
  expect(Merge.width(workspace, chains)).toBe(Math.min(128, capacity >>> 2));
  expect(Merge.width(workspace, chains.slice(0, 5))).toBe(5);
  workspace.charge(1e6);
  expect(Merge.width(workspace, chains)).toBe(4);
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
  for await (const _ of sorter.walk(({ bytes, start, end, keys, keyStart }) => {
    expect(keys[keyStart]! * 256 + keys[keyStart + 1]!).toBe(next);
    expect([bytes[start], bytes[end - 1]]).toEqual([next & 255, next & 255]);
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
