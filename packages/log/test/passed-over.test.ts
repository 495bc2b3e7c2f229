import fs, { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { uniqueToken } from "@partd/disk";
// From the sources, so that a store can be stopped between two of its steps.
import { compact } from "../src/compact.js";
import { DataSet } from "../src/data-set/data-set.js";
import { Segment } from "../src/data-set/segment.js";
import type { ManifestLine } from "../src/format/manifest-line.js";
import { LogStore } from "../src/log-store.js";
import { Writer } from "../src/writer.js";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next } = directories();

const SIZES = { segmentSize: 2 ** 20, indexMemory: 2 ** 20, salvage: false };
const LOST = { code: "ERR_PARTD_LOCK" };

/** Does to all that have a lock what others do to a holder that stands still for too long. */
function passOver(directory: string, lock: "lock" | "compact"): void {
  const folder = join(directory, ".partd-log", lock);
  for (const name of readdirSync(folder)) {
    if (/^(wants|waits|fence)-/.test(name)) continue;
    renameSync(join(folder, name), join(folder, `fence-${name.replace("shared-", "")}`));
  }
}

/** Leaves the mark of a holder that was passed over, and may still run in another container. */
function leaveFence(directory: string): void {
  const [pid, start, , boot] = uniqueToken().split("-");
  const hidden = [pid, start, "1", boot, "0123456789ab"].join("-");
  const folder = join(directory, ".partd-log", "lock");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `fence-${hidden}`), "");
}

async function filled(directory: string): Promise<void> {
  await using store = new LogStore(directory);
  await store.append({ x: bytes("1") });
}

/** Compacts, and stops before it has the data set alone for the first or the second time. */
function compaction(directory: string, stop: 1 | 2, meanwhile: () => Promise<void>) {
  const dataSet = new DataSet(directory);
  let times = 0;
  const exclusive = async <T>(critical: () => Promise<T>): Promise<T> => {
    if (++times === stop) await meanwhile();
    return dataSet.exclusive({}, critical);
  };
  const { signal } = new AbortController();
  return compact(dataSet, { ...SIZES, signal, onProgress: undefined, exclusive }).finally(() =>
    dataSet.close(),
  );
}

for (const stop of [1, 2] as const) {
  test(`a compaction that was passed over before its step ${stop} changes nothing, nor does it disturb the next`, async () => {
    const directory = next();
    await filled(directory);
    let goOn = () => {};
    const isOver = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let second: Promise<unknown> | undefined;
    const first = compaction(directory, stop, async () => {
      passOver(directory, "compact");
      await new Promise<void>((copied) => {
        second = compaction(directory, 2, async () => {
          copied();
          await isOver;
        });
      });
    });
    await expect(first).rejects.toMatchObject(LOST);
    goOn();
    await second;
    await using store = new LogStore(directory);
    expect(text(await store.get("x"))).toBe("1");
    expect((await store.verify()).damage).toEqual([]);
    expect(filesOf(directory, ".seg")).toHaveLength(1);
  });
}

test("a drop of a store that was passed over leaves what others have appended since", async () => {
  const directory = next();
  await filled(directory);
  await using stalled = new LogStore(directory);
  await using other = new LogStore(directory);
  const dropped = stalled.withLock(async (alone) => {
    passOver(directory, "lock");
    await other.append({ x: bytes("2") });
    await alone.drop();
  });
  await expect(dropped).rejects.toMatchObject(LOST);
  expect(text(await other.get("x"))).toBe("12");
});

test("a read of a store that was passed over is done again, and answers all there is", async () => {
  const directory = next();
  await filled(directory);
  await using stalled = new LogStore(directory);
  await using other = new LogStore(directory);
  const { catchUp } = Segment.prototype;
  Segment.prototype.catchUp = async function () {
    Segment.prototype.catchUp = catchUp;
    await this.catchUp();
    passOver(directory, "lock");
    await other.compact();
  };
  const { now } = Date;
  const read = stalled.get("x");
  await other.get("absent");
  Date.now = () => now() + 3_600_000;
  try {
    expect(text(await read)).toBe("1");
  } finally {
    Date.now = now;
  }
});

test("an append that was whole before its store was passed over is done, also when compacted since", async () => {
  const directory = next();
  await filled(directory);
  await using stalled = new LogStore(directory, { fsync: true });
  await using other = new LogStore(directory);
  await stalled.append({ x: bytes("2") });
  const { fdatasync } = fs;
  const { now } = Date;
  // The record is written; before that is known a long time passes.
  fs.fdatasync = ((fd: number, done: () => void) => {
    fs.fdatasync = fdatasync;
    passOver(directory, "lock");
    const compacted = other.compact().then(() => {
      // A damaged line, so that the next one writes a new manifest.
      fs.appendFileSync(join(directory, ".partd-log", "manifest"), "\n0123abcd segm\n");
      return other.compact();
    });
    void compacted.then(() => {
      Date.now = () => now() + 3_600_000;
      fdatasync(fd, done);
    });
  }) as typeof fdatasync;
  try {
    await stalled.append({ x: bytes("3") });
  } finally {
    fs.fdatasync = fdatasync;
    Date.now = now;
  }
  for (const store of [stalled, other]) expect(text(await store.get("x"))).toBe("123");
});

test("a segment whose writer was passed over before it told of it is never listed", async () => {
  const directory = next();
  await filled(directory);
  const dataSet = new DataSet(directory);
  const other = new DataSet(directory);
  const writer = new Writer(dataSet, { fsync: false, ...SIZES });
  other.sync();
  const { list } = dataSet;
  const { addOwn } = list;
  list.addOwn = (segment) => {
    addOwn.call(list, segment);
    passOver(directory, "lock");
    other.manifest.replace([["compacted", "0", "-", "-"]], () => {});
  };
  const lease = await dataSet.lock.take("shared");
  const batch = { keys: ["x"], values: [bytes("2")], byteLength: 1 };
  await expect(writer.append(batch, lease)).rejects.toMatchObject(LOST);
  const manifest = readFileSync(join(directory, ".partd-log", "manifest"), "latin1");
  expect(manifest).not.toContain(" segment ");
  await writer.close();
  await dataSet.close();
  await other.close();
});

/**
 * Stops `stalled` once it has added a line of that kind and knows that it is in the manifest. It is
 * passed over and another replaces the manifest, whose disk is so full that it can add no line.
 */
function stopAfterLine(stalled: DataSet, other: DataSet, kind: ManifestLine[0]) {
  const { manifest, sync } = stalled;
  const { add } = manifest;
  const { now } = Date;
  const goOn = () => {
    stalled.sync = sync;
    other.manifest.add = () => {
      throw new Error("The disk is full.");
    };
    try {
      other.manifest.replace(other.list.essence(other.inventory.unlisted()), () => {});
    } catch {}
  };
  manifest.add = (lines, durable) => {
    add.call(manifest, lines, durable);
    if (lines[0]?.[0] !== kind) return;
    passOver(stalled.directory, "lock");
    Date.now = () => now() + 3_600_000;
    stalled.sync = () => {
      goOn();
      sync.call(stalled);
    };
  };
  return () => {
    if (stalled.sync !== sync) goOn();
    Date.now = now;
  };
}

test("a compaction that is passed over after its last line, which is lost, loses nothing", async () => {
  const directory = next();
  await filled(directory);
  const dataSet = new DataSet(directory);
  const other = new DataSet(directory);
  other.sync();
  const goOn = stopAfterLine(dataSet, other, "compacted");
  const exclusive = <T>(critical: () => Promise<T>) => dataSet.exclusive({}, critical);
  const { signal } = new AbortController();
  const compacted = compact(dataSet, { ...SIZES, signal, onProgress: undefined, exclusive });
  await expect(compacted).rejects.toMatchObject(LOST);
  goOn();
  await dataSet.close();
  await other.close();
  await using store = new LogStore(directory);
  expect(text(await store.get("x"))).toBe("1");
  await store.compact();
  expect(text(await store.get("x"))).toBe("1");
  expect(filesOf(directory, ".seg")).toHaveLength(1);
});

test("a writer that is passed over after the line of its segment, which is lost, writes no record", async () => {
  const directory = next();
  await filled(directory);
  const dataSet = new DataSet(directory);
  const other = new DataSet(directory);
  other.sync();
  const goOn = stopAfterLine(dataSet, other, "segment");
  const writer = new Writer(dataSet, { fsync: false, ...SIZES });
  const lease = await dataSet.lock.take("shared");
  const batch = { keys: ["x"], values: [bytes("2")], byteLength: 1 };
  await expect(writer.append(batch, lease)).rejects.toMatchObject(LOST);
  goOn();
  for (const one of [writer, dataSet, other]) await one.close();
  await using store = new LogStore(directory);
  expect(text(await store.get("x"))).toBe("1");
});

test("a store that is passed over while it fences others off replaces no later manifest", async () => {
  const directory = next();
  await filled(directory);
  leaveFence(directory);
  const dataSet = new DataSet(directory);
  const other = new DataSet(directory);
  const line = ["segment", "0123456789abcdef", "1-1-1-other"] as const;
  const { unlisted } = dataSet.inventory;
  dataSet.inventory.unlisted = () => {
    passOver(directory, "lock");
    other.manifest.removeDrafts();
    other.sync();
    other.manifest.replace(other.list.essence([]), () => {});
    other.manifest.add([line], false);
    return unlisted.call(dataSet.inventory);
  };
  await expect(dataSet.lock.take("shared")).rejects.toMatchObject(LOST);
  await dataSet.close();
  await other.close();
  const manifest = readFileSync(join(directory, ".partd-log", "manifest"), "latin1");
  expect(manifest).toContain(line.join(" "));
});

test("segments that were compacted and not yet removed are no loss to those that fence others off", async () => {
  const directory = next();
  await filled(directory);
  const [path = ""] = filesOf(directory, ".seg");
  const compacted = readFileSync(path);
  const compacting = new LogStore(directory);
  await compacting.compact();
  await compacting.close();
  writeFileSync(path, compacted);
  leaveFence(directory);
  await using store = new LogStore(directory);
  await store.append({ x: bytes("2") });
  await using other = new LogStore(directory);
  expect(text(await other.get("x"))).toBe("12");
  await other.compact();
  expect(filesOf(directory, ".seg")).toHaveLength(1);
});
