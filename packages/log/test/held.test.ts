import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
// From the sources, so that both share the set of open files.
import { DataSet } from "../src/data-set/data-set.js";
import { Segment } from "../src/data-set/segment.js";
import { LogStore } from "../src/log-store.js";
import { closeIdle } from "../src/open-files.js";
import { pairsOf } from "../src/read/entries.js";
import { HeldStream } from "../src/read/held-stream.js";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function filled(): Promise<LogStore> {
  const folder = mkdtempSync(join(tmpdir(), "log-held-"));
  folders.push(folder);
  const store = new LogStore(folder, { segmentSize: 3 * 2 ** 20 });
  const piece = new Uint8Array(2 ** 21);
  for (let i = 0; i < 12; i++) await store.append({ [`k${i % 3}`]: piece.fill(i) });
  await store.close();
  return new LogStore(folder, { segmentSize: 3 * 2 ** 20 });
}

test("files that are being compacted are not idle, whoever needs descriptors", async () => {
  await using store = await filled();
  await store.compact({ onProgress: () => closeIdle() });
  expect((await store.get("k0")).length).toBe(4 * 2 ** 21);
});

test("entries are read from files that a compaction removes before the first is asked for", async () => {
  await using store = await filled();
  await store.get("absent"); // Only indexes are read.
  const dataSet = new DataSet(store.path);
  await dataSet.refresh();
  closeIdle();
  const extents = dataSet.segments.map((segment) => ({ segment, end: segment.recordsEnd }));
  const longest = Number.POSITIVE_INFINITY;
  const entries = new HeldStream(dataSet.segments, {
    path: store.path,
    read: (signal) => pairsOf(dataSet, extents, { longest, signal }),
    signal: undefined,
    done: () => {},
  });
  await store.compact();
  let count = 0;
  for await (const some of entries) count += some.length;
  expect(count).toBe(3);
  await dataSet.close();
});

test("entries that are being read are not idle", async () => {
  await using store = await filled();
  let count = 0;
  const listing = store.entries()[Symbol.asyncIterator]();
  for (let step = listing.next(); !(await step).done; step = listing.next()) {
    count++;
    closeIdle();
  }
  expect(count).toBe(3);
});

test("entries that are read while the store is closed end with ERR_PARTD_CLOSED", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const store = await filled();
    const listing = store.entries()[Symbol.asyncIterator]();
    const step = Promise.allSettled([listing.next()]);
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    await store.close();
    const [{ status, reason }] = (await step) as [{ status: string; reason?: unknown }];
    if (status === "rejected") expect(isPartdError(reason, "ERR_PARTD_CLOSED")).toBe(true);
  }
});

/** Files of a directory that this process has open, though they were removed. */
function openAndGone(directory: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) && path.endsWith(".seg (deleted)") ? [path] : [];
    } catch {
      return []; // The one that read the list.
    }
  });
}

const onLinux = process.platform === "linux" ? test : test.skip;

onLinux.each(["stream", "entries", "keys"] as const)(
  "what loses its lock each time that it begins, %s, holds no segment",
  async (kind) => {
    await using store = await filled();
    await store.get("absent");
    const { hold } = Segment.prototype;
    const now = Date.now;
    let skew = 0;
    Segment.prototype.hold = function (this: Segment) {
      // The clock proves nothing any more, and the lock is gone.
      skew += 3_600_000;
      Date.now = () => now() + skew;
      rmSync(join(store.path, ".partd-log", "lock"), { recursive: true, force: true });
      hold.call(this);
    };
    try {
      const items = kind === "stream" ? store.stream("k0") : store[kind]();
      const first = items[Symbol.asyncIterator]().next();
      await expect(first).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
    } finally {
      Segment.prototype.hold = hold;
      Date.now = now;
    }
    await using other = new LogStore(store.path);
    await other.compact();
    await store.get("k1"); // Sees that the segments are gone.
    expect(openAndGone(store.path)).toEqual([]);
  },
);
