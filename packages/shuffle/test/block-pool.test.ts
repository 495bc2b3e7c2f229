import { expect, test } from "@jest/globals";
import { type Block, BlockPool } from "../src/spill/block.js";

const BLOCK = 1024;
/** Each slab of a pool for so few blocks has as many. */
const IN_SLAB = 8;

function filledPool(slabs: number): { pool: BlockPool; blocks: Block[] } {
  const pool = new BlockPool(BLOCK, IN_SLAB);
  const blocks = Array.from({ length: slabs * IN_SLAB }, () => pool.take());
  for (const [i, block] of blocks.entries()) block.words.fill(i);
  return { pool, blocks };
}

const slabsOf = (blocks: readonly Block[]) => new Set(blocks.map(({ slab }) => slab)).size;
/** Whether the memory of a block was given back. */
const isGone = ({ bytes }: Block) => bytes.length === 0;

test("a slab is given back when none of its blocks is in use, and no sooner", () => {
  const { pool, blocks } = filledPool(3);
  for (const block of blocks.slice(IN_SLAB)) pool.release(block);
  pool.shrink(3 * IN_SLAB, () => []);
  expect(blocks.some(isGone)).toBe(false);
  pool.shrink(IN_SLAB, () => []);
  expect(blocks.slice(0, IN_SLAB).some(isGone)).toBe(false);
  expect(blocks.slice(IN_SLAB).every(isGone)).toBe(true);
});

test("blocks move out of slabs that have few, with what they hold; those that someone looks at stay", () => {
  const { pool, blocks } = filledPool(4);
  const held = blocks[0]!;
  const { bytes } = held;
  const kept = blocks.filter((_, i) => i % IN_SLAB === 0);
  for (const block of blocks) if (!kept.includes(block)) pool.release(block);
  pool.shrink(IN_SLAB, () => kept.slice(1));
  expect(slabsOf(kept)).toBe(1);
  expect(kept.map(({ words }) => words[BLOCK / 4 - 1])).toEqual([0, 8, 16, 24]);
  expect(held.bytes).toBe(bytes);
  // The rest of that slab can be taken, and nothing else.
  const more = Array.from({ length: IN_SLAB - kept.length }, () => pool.take());
  for (const block of more) block.words.fill(99);
  expect(slabsOf([...kept, ...more])).toBe(1);
  expect(kept.map(({ words }) => words[0])).toEqual([0, 8, 16, 24]);
  pool.take();
  expect(slabsOf([...kept, ...more, pool.take()])).toBe(2);
});

test("for a long record, blocks move to a slab that takes memory for them alone", () => {
  const { pool, blocks } = filledPool(2);
  const kept = [blocks[1]!, blocks[9]!];
  for (const block of blocks) if (!kept.includes(block)) pool.release(block);
  const slabs = kept.map(({ slab }) => slab);
  pool.shrink(IN_SLAB, () => kept);
  expect(slabs).toContain(kept[0]!.slab);
  pool.shrink(0, () => kept, true);
  expect(slabs).not.toContain(kept[0]!.slab);
  expect(kept.map(({ slab, words }) => [slab.touched, words[0]])).toEqual([
    [2, 1],
    [2, 9],
  ]);
  expect(slabs.every(({ bytes }) => bytes.length === 0)).toBe(true);
});

test("slabs are filled from the first one on", () => {
  const { pool, blocks } = filledPool(3);
  pool.release(blocks[20]!);
  pool.release(blocks[3]!);
  expect(pool.take()).toBe(blocks[3]);
  expect(pool.take()).toBe(blocks[20]);
});
