import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { bytes, directories, text } from "./directories.js";

const { next } = directories();

test("a batch of very many keys leaves others their turn, and is whole and in its place", async () => {
  await using store = new LogStore(next());
  await store.append({ k0: bytes("first,") });
  const keys = Array.from({ length: 100_000 }, (_, i) => `k${i}`);
  // To whoever reads it, the clock says that much time has passed: it is read once for a thousand keys.
  const { now } = performance;
  let late = 0;
  performance.now = () => {
    late += 4;
    return now.call(performance) + late;
  };
  // Every key that is new to the segment is written to the record once.
  const { write } = Buffer.prototype;
  let written = 0;
  let most = 0;
  Buffer.prototype.write = function (this: Buffer, ...args: unknown[]) {
    most = Math.max(most, ++written);
    return Reflect.apply(write, this, args) as number;
  };
  let over = false;
  const seen = new Set<string>();
  try {
    const long = store.append(keys.map((key) => [key, bytes("long,")] as const));
    const after = store.append({ k0: bytes("after,") });
    const reads: Promise<void>[] = [];
    const turn = () => {
      if (over) return;
      written = 0;
      reads.push(
        store.get(["k0", "k99999"]).then(([k0, last]) => {
          seen.add(`${text(k0 as Uint8Array)} ${text(last as Uint8Array)}`);
        }),
      );
      setImmediate(turn);
    };
    setImmediate(turn);
    await Promise.all([long, after]);
    over = true;
    await Promise.all(reads);
  } finally {
    performance.now = now;
    Buffer.prototype.write = write;
  }
  expect(most).toBeGreaterThan(100);
  expect(most).toBeLessThan(keys.length / 10);
  const states = ["first, ", "first,long, long,", "first,long,after, long,"];
  for (const state of seen) expect(states).toContain(state);
  expect(seen).toContain(states[0]);
  await store.close();
  await using again = new LogStore(store.path);
  const values = await again.get(keys);
  expect(text(values[0] as Uint8Array)).toBe("first,long,after,");
  expect(values.slice(1).every((value) => text(value) === "long,")).toBe(true);
  expect((await again.verify()).damage).toEqual([]);
});
