import { expect, test } from "@jest/globals";
import { isPartdError, type Store } from "@partd/core";
import { S3Store } from "@partd/s3";
import { memoryBucket } from "./memory-client.js";

test.each([
  ["one object", 8 << 20],
  ["parts", 65_536],
])(
  "a buffer that is transferred while it is written, in %s, is there whole or refused",
  async (_, segmentBytes) => {
    const { client, objects } = memoryBucket();
    await using store = new S3Store({ client, bucket: "memory", prefix: "changed", segmentBytes });
    for (const byteLength of [1, 5_000, 300_000]) {
      for (const turns of [0, 1, 2, 3, 5, 8, 13, 21]) {
        const before = await lengthsOf(store);
        const changed = new Uint8Array(byteLength).fill(65);
        const appended = outcomeOf(store.append({ x: changed, y: new Uint8Array(2) }));
        const beside = store.append({ y: new Uint8Array(1) });
        for (let i = 0; i < turns; i++) await null;
        structuredClone(changed.buffer, { transfer: [changed.buffer] });
        const isDone = (await appended) === "done";
        await beside;
        const [x, y] = isDone ? [byteLength, 3] : [0, 1];
        expect(await lengthsOf(store)).toEqual([before[0] + x, before[1] + y]);
      }
      const set = new Uint8Array(byteLength).fill(66);
      const [before] = await lengthsOf(store);
      const done = outcomeOf(store.iset("x", set, { replace: true } as object));
      for (let i = 0; i < 4; i++) await null;
      structuredClone(set.buffer, { transfer: [set.buffer] });
      const kept = (await done) === "done" ? byteLength : before;
      expect((await lengthsOf(store))[0]).toBe(kept);
    }
    await store.drop();
    expect([...objects.keys()].filter((name) => name.includes("/part/"))).toEqual([]);
  },
);

async function outcomeOf(write: Promise<void>): Promise<"done" | "refused"> {
  try {
    await write;
    return "done";
  } catch (error) {
    if (!isPartdError(error, "ERR_PARTD_VALUE")) throw error;
    return "refused";
  }
}

async function lengthsOf(store: Store): Promise<[number, number]> {
  return [await store.size("x"), await store.size("y")];
}
