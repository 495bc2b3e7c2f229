import { expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import type { AppendOptions, Batch, GetOptions } from "@partd/core/author";

/** Bytes of each append: more than a batch for the slow store carries, at this bound. */
const APPEND = 30_000;
const options = { availableMemory: 200_000 };

/** Takes a turn of the event loop for whatever is asked, as a store on a disk does. */
class LateStore extends Dict {
  protected override async _get(keys: readonly string[], options: GetOptions) {
    await new Promise(setImmediate);
    return super._get(keys, options);
  }
  protected override async _append(batch: Batch, options: AppendOptions) {
    await new Promise(setImmediate);
    return super._append(batch, options);
  }
  protected override async _delete(keys: readonly string[]) {
    await new Promise(setImmediate);
    return super._delete(keys);
  }
}

/** Which appends a value consists of, each of its own byte. */
function appendsOf(value: Uint8Array): number[] {
  const starts = Array.from({ length: Math.ceil(value.byteLength / APPEND) }, (_, i) => i * APPEND);
  return starts.map((start) => {
    const one = value.subarray(start, start + APPEND);
    if (one.byteLength < APPEND || one.some((byte) => byte !== one[0]))
      throw new Error("cut short");
    return one[0] as number;
  });
}

for (const longest of [undefined, 10_000]) {
  test(`a listing shows whole appends, though parts are spilled meanwhile; longest ${longest}`, async () => {
    await using store = new BufferStore(new Dict(), new Dict(), options);
    await store.append({ a: Uint8Array.of(1), b: new Uint8Array(APPEND) });
    const entries = store.entries({ longest });
    await entries.next();
    for (let i = 1; i <= 6; i++) await store.append({ b: new Uint8Array(APPEND).fill(i) });
    while (store.stats().spillsInFlight > 0) await new Promise(setImmediate);
    // Or nothing was spilled in parts: a whole append is no multiple of what a batch carries.
    expect(store.stats().bytesHeld % APPEND).not.toBe(0);
    const pieces: Uint8Array[] = [];
    for await (const [key, value] of entries) {
      expect(key).toBe("b");
      pieces.push(value);
    }
    expect(pieces.length > 1).toBe(longest !== undefined);
    expect(appendsOf(Buffer.concat(pieces))).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
}

test("a listing beside deletions and work under the lock shows whole appends, and never fails", async () => {
  await using store = new BufferStore(new Dict(), new LateStore(), options);
  const append = async (byte: number) => store.append({ b: new Uint8Array(APPEND).fill(byte) });
  let isOver = false;
  const writer = (async () => {
    for (let i = 0; !isOver; i = (i + 1) % 200) {
      await append(i);
      if (i % 7 === 6) await store.delete("b");
      if (i % 5 === 4) await store.withLock((held) => held.get("b"));
    }
  })();
  for (let i = 0; i < 300; i++) {
    for await (const [, value] of store.entries()) appendsOf(value);
  }
  isOver = true;
  await writer;
});
