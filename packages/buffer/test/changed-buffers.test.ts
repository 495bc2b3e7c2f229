import { expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import { turns } from "./bytes.js";
import { GatedStore } from "./gated-store.js";

// A caller transfers the buffer of a value while its append waits: it is refused, and what stood before is there.

class Small extends GatedStore {
  readonly takesSmallValues = true;
}

/** A store of some 15 kB whose memory holds `x`, which is being written to a slow store that stands still. */
async function writing() {
  const slow = new GatedStore();
  const store = new BufferStore(new Dict(), slow, { availableMemory: 20_000 });
  await store.append({ x: new Uint8Array(6000) });
  slow.stop();
  const flushed = store.flush();
  await slow.until(1);
  return { slow, store, flushed };
}

const transfer = ({ buffer }: Uint8Array) => structuredClone(buffer, { transfer: [buffer] });
const refused = { code: "ERR_PARTD_VALUE" };

test("an append that waits for room", async () => {
  const { slow, store, flushed } = await writing();
  await store.append({ y: new Uint8Array(6000) });
  const value = new Uint8Array(6000);
  const waiting = store.append({ z: value });
  await turns();
  expect(store.stats().waiting).toBe(1);
  transfer(value);
  slow.go();
  await expect(waiting).rejects.toMatchObject(refused);
  await flushed;
  expect((await store.get(["x", "y", "z"])).map(({ length }) => length)).toEqual([6000, 6000, 0]);
  await store.close();
});

test("a big append that waits for a flight of its key", async () => {
  const { slow, store, flushed } = await writing();
  const value = new Uint8Array(20_000);
  const waiting = store.append({ x: value });
  await turns();
  transfer(value);
  slow.go();
  await expect(waiting).rejects.toMatchObject(refused);
  await flushed;
  expect((await store.get("x")).length).toBe(6000);
  await store.close();
});

test("a batch that is passed on once memory is empty", async () => {
  const slow = new Small();
  const store = new BufferStore(new Dict(), slow, { availableMemory: 2e6 });
  const batchOf = (from: number) =>
    Array.from({ length: 300 }, (_, i) => [`${from + i}`, new Uint8Array(50)] as const);
  for (let from = 0; from < 6000; from += 300) await store.append(batchOf(from));
  expect(store.stats().bytesHeld).toBe(0);
  await store.append({ x: new Uint8Array(5) });
  expect(store.stats().bytesHeld).toBe(5);
  slow.stop();
  const { begun } = slow;
  const batch = batchOf(6000);
  const waiting = store.append(batch);
  await slow.until(begun + 1);
  transfer((batch[7] as (typeof batch)[0])[1]);
  slow.go();
  await expect(waiting).rejects.toMatchObject(refused);
  expect((await store.get(["x", "6000"])).map(({ length }) => length)).toEqual([5, 0]);
  await store.close();
});

test("an append behind an iset whose caller has given up", async () => {
  const slow = new GatedStore();
  const store = new BufferStore(new Dict(), slow, { availableMemory: 20_000 });
  await store.append({ x: new Uint8Array(6000) });
  slow.stop();
  const controller = new AbortController();
  const set = store.iset("x", new Uint8Array(3), { signal: controller.signal });
  await slow.until(1); // What memory has of the key goes down first.
  controller.abort();
  await expect(set).rejects.toThrow("abort");
  const value = new Uint8Array(5);
  const waiting = store.append({ y: value });
  await turns();
  transfer(value);
  slow.go();
  await expect(waiting).rejects.toMatchObject(refused);
  expect((await store.get(["x", "y"])).map(({ length }) => length)).toEqual([3, 0]);
  await store.close();
});
