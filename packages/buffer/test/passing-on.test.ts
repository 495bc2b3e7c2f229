import { describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, isPartdError } from "@partd/core";
import type { AppendOptions, Batch } from "@partd/core/author";
import { LogStore } from "@partd/log";
import { isPending, turns } from "./bytes.js";
import { ChaosStore, randomFrom } from "./chaos-store.js";
import { GatedStore } from "./gated-store.js";

// Over a store that takes small values, batches of many keys go straight down while few of their
// appends would meet in memory.

/** A batch of 300 appends of 50 bytes to keys `from`, `from + 1` … */
function batchOf(from: number): [string, Uint8Array][] {
  return Array.from({ length: 300 }, (_, i) => [`key-${from + i}`, new Uint8Array(50).fill(7)]);
}

async function fill(store: BufferStore): Promise<number> {
  let next = 0;
  for (; next < 6000; next += 300) await store.append(batchOf(next));
  return next;
}

class Small extends Dict {
  readonly takesSmallValues = true;
}

test("many keys are passed on, and few are gathered again", async () => {
  await using store = new BufferStore(new Dict(), new Small(), { availableMemory: 2e6 });
  let next = await fill(store);
  for (; next < 18_000; next += 300) {
    await store.append(batchOf(next));
    expect(store.stats().bytesHeld).toBe(0);
  }
  for (let i = 0; i < 200; i++) await store.append(batchOf(0));
  const before = store.stats();
  expect(before.bytesHeld).toBeGreaterThan(100_000);
  await store.append(batchOf(0));
  expect(store.stats().bytesHeld).toBe(before.bytesHeld + 15_000);
  expect((await store.get("key-0")).byteLength).toBe(50 * 202);
  expect((await store.get("key-17999")).byteLength).toBe(50);
});

test("keys of which 12 appends would meet are passed on, those of which 40 would are not", async () => {
  await using few = new BufferStore(new Dict(), new Small(), { availableMemory: 2e6 });
  await using many = new BufferStore(new Dict(), new Small(), { availableMemory: 2e6 });
  for (let round = 0; round < 30; round++) {
    for (let from = 0; from < 1500; from += 300) {
      await few.append(batchOf(from));
      if (round > 12) expect(few.stats().bytesHeld).toBe(0);
    }
  }
  for (let round = 0; round < 100; round++) {
    for (let from = 0; from < 600; from += 300) await many.append(batchOf(from));
    expect(many.stats().bytesHeld).toBeGreaterThan(0);
  }
});

test("too many keys are passed on long before memory is full, few enough are gathered", async () => {
  await using many = new BufferStore(new Dict(), new Small(), { availableMemory: 40e6 });
  await using few = new BufferStore(new Dict(), new Small(), { availableMemory: 40e6 });
  let most = 0;
  for (let from = 0; from < 30_000; from += 300) {
    await many.append(batchOf(from));
    await few.append(batchOf(from % 1500));
    most = Math.max(most, many.stats().memoryHeld);
    expect(few.stats().bytesHeld).toBe((from + 300) * 50);
  }
  expect(most).toBeLessThan(40e6 / 4);
  expect(many.stats().bytesHeld).toBe(0);
  expect((await many.get("key-0")).byteLength).toBe(50);
});

test("a LogStore takes small values; a Dict, and a small batch, are not passed on to", async () => {
  expect(new LogStore().takesSmallValues).toBe(true);
  await using plain = new BufferStore(new Dict(), new Dict(), { availableMemory: 2e6 });
  await fill(plain);
  expect(plain.stats().bytesHeld).toBeGreaterThan(0);
  await using store = new BufferStore(new Dict(), new Small(), { availableMemory: 2e6 });
  await fill(store);
  await store.append({ x: new Uint8Array(1) });
  expect(store.stats().bytesHeld).toBe(1);
  await store.append([...batchOf(0), ["x", new Uint8Array(2)]]); // Behind what memory has.
  expect([...(await store.get("x"))]).toEqual([0, 0, 0]);
  expect(store.stats().bytesHeld).toBe(0);
});

class GatedSmall extends GatedStore {
  readonly takesSmallValues = true;
}

test("one that is refused, or given up, rejects and leaves the rest as it was", async () => {
  const slow = new GatedSmall();
  await using store = new BufferStore(new Dict(), slow, { availableMemory: 2e6 });
  const next = await fill(store);
  slow.refuse = new Error("full");
  await expect(store.append(batchOf(next))).rejects.toThrow("full");
  expect((await store.get(`key-${next}`)).byteLength).toBe(0);
  await store.append({ x: new Uint8Array(1) });
  await store.append(batchOf(next)); // Memory cannot be emptied: it is gathered as ever.
  expect(store.stats().bytesHeld).toBe(15_001);
  slow.refuse = undefined;
  await store.append(batchOf(next));
  expect(store.stats().bytesHeld).toBe(0);
  slow.stop();
  const controller = new AbortController();
  const given = store.append(batchOf(next + 300), { signal: controller.signal });
  given.catch(() => {});
  await slow.until(slow.begun);
  await turns();
  controller.abort(new Error("given up"));
  await expect(given).rejects.toThrow("given up");
  const read = store.get(`key-${next + 300}`);
  expect(await isPending(read)).toBe(true); // It is carried out whole or not at all.
  slow.go();
  expect([0, 50]).toContain((await read).byteLength);
  expect((await store.get(`key-${next}`)).byteLength).toBe(100);
});

class ChaosSmall extends ChaosStore {
  readonly takesSmallValues = true;
  passed = 0;

  protected override async _append(batch: Batch, options: AppendOptions): Promise<void> {
    if (new Set(batch.keys).size < batch.keys.length) this.passed++; // Only the callers' repeat keys.
    await super._append(batch, options);
  }
}

describe.each([0, 20])(
  "writers of large and small batches at once, %i of 100 refused",
  (failures) => {
    test("find each append once and in order", async () => {
      let passed = 0;
      for (let seed = 1; seed <= 2; seed++) {
        const slow = new ChaosSmall(seed);
        slow.failures = failures;
        const store = new BufferStore(new Dict(), slow, { availableMemory: 300_000 });
        await Promise.all(
          [1, 2, 3].map((writer) => write(store, writer, randomFrom(10 * seed + writer))),
        );
        slow.failures = 0;
        passed += slow.passed;
        await store.close();
      }
      expect(passed).toBeGreaterThan(5);
    });
  },
);

/** Appends to keys of its own, and looks now and then whether all is there. */
async function write(
  store: BufferStore,
  writer: number,
  random: (below: number) => number,
): Promise<void> {
  const written = new Map<string, number>();
  for (let round = 0; round < 20; round++) {
    const next = new Map<string, number>();
    const batch: [string, Uint8Array][] = [];
    const size = random(3) === 0 ? 3 : 300;
    for (let i = 0; i < size; i++) {
      const key = `${writer}-${random(3000)}`;
      const count = next.get(key) ?? written.get(key) ?? 0;
      batch.push([key, new Uint8Array(20).fill(count)]);
      next.set(key, count + 1);
    }
    try {
      await store.append(batch);
      for (const [key, count] of next) written.set(key, count);
    } catch (error) {
      if (!isPartdError(error, "ERR_PARTD_IO")) throw error;
    }
    const keys = [...next.keys()].slice(0, 50);
    if (random(10) === 0) {
      for (const [i, value] of (await store.pop(keys)).entries()) {
        check(value, written.get(keys[i] as string));
        written.delete(keys[i] as string);
      }
    } else {
      const values = await store.get(keys);
      for (const [i, value] of values.entries()) check(value, written.get(keys[i] as string));
    }
  }
  const values = await store.get([...written.keys()]);
  for (const [i, count] of [...written.values()].entries()) check(values[i] as Uint8Array, count);
}

function check(value: Uint8Array, count = 0): void {
  expect(value.byteLength).toBe(20 * count);
  for (let i = 0; i < count; i++)
    if (value[20 * i] !== i) throw new Error(`out of order: ${value}`);
}
