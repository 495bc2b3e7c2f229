import { spawnSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next } = directories();
const inMemory = (directory: string, ...command: readonly string[]) => {
  mkdirSync(directory);
  const script = 'mount -t tmpfs -o size=4m none "$0" && "$@"';
  return spawnSync("unshare", ["--mount", "bash", "-c", script, directory, ...command]);
};
const mayMount = process.platform === "linux" && inMemory(next(), "true").status === 0;

(mayMount ? test : test.skip)(
  "a disk that others keep full is emptied by delete and compact",
  () => {
    const program = join(import.meta.dirname, "emptied.mjs");
    const directory = next();
    const { stdout, stderr } = inMemory(directory, process.execPath, program, directory);
    expect(String(stderr)).toBe("");
    const told = JSON.parse(String(stdout));
    expect(told).toMatchObject({
      append: "ENOSPC",
      deleted: Array(8).fill("done"),
      compact: "ENOSPC",
      right: [true, true],
      damage: 0,
    });
    const [before, after] = told.free;
    expect(before).toBe(0);
    // The two segments of which nothing was alive.
    expect(after).toBeGreaterThan(500_000);
  },
);

test("a compaction that ends after what is dead was removed leaves every value as it was", async () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  let removed = 0;
  for (let round = 0; round < 8; round++) {
    const path = next();
    const stores = [0, 1, 2].map(() => new LogStore(path, { segmentSize: 120 }));
    const some = () => stores[random(3)] as LogStore;
    const expected = new Map<string, string>();
    for (let step = 0; step < 50; step++) {
      const key = `k${random(6)}`;
      const store = some();
      const kind = random(10);
      if (kind < 5) {
        const value = `${round}.${step};`.repeat(1 + random(5));
        await store.append({ [key]: bytes(value) });
        expected.set(key, (expected.get(key) ?? "") + value);
      } else if (kind < 9) {
        await store.delete(key);
        expected.delete(key);
      } else if (random(4) === 0) {
        await store.compact();
      } else {
        const before = (await store.verify()).segments;
        const aborting = new AbortController();
        const onProgress = () => aborting.abort(new Error("enough"));
        await store.compact({ onProgress, signal: aborting.signal }).catch(() => {});
        removed += before - (await store.verify()).segments;
      }
      const reader = some();
      const keys = [0, 1, 2, 3, 4, 5].map((i) => `k${i}`);
      const values = keys.map((one) => expected.get(one) ?? "");
      expect((await reader.get(keys)).map(text)).toEqual(values);
      expect(await reader.count()).toBe(expected.size);
    }
    for (const store of stores) await store.close();
  }
  expect(removed).toBeGreaterThan(20);
});

test("a drop that cannot remove all files says that the keys are gone, and the next one removes the rest", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  await store.append({ x: bytes("1") });
  const path = join(directory, "0123456789abcdef.idx");
  mkdirSync(path); // `drop` removes files alone.
  const error = await store.drop().catch((error: unknown) => error);
  expect(error).toMatchObject({ code: "ERR_PARTD_IO" });
  expect((error as Error).message).toContain(
    "all keys are gone, and what is left of the files only takes space",
  );
  expect(text(await store.get("x"))).toBe("");
  expect(await store.count()).toBe(0);
  rmdirSync(path);
  await store.drop();
  expect(filesOf(directory, ".seg")).toEqual([]);
  await store.append({ x: bytes("2") });
  expect(text(await store.get("x"))).toBe("2");
});
