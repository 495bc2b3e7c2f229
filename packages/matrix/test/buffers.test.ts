import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, isPartdError, type Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Client, Server } from "@partd/server";

const root = mkdtempSync(join(tmpdir(), "matrix-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
const next = () => join(root, String(count++));
const STORES: [string, () => Store][] = [
  ["a Dict", () => new Dict()],
  ["a FileStore", () => new FileStore(next())],
  ["a FileStore with fsync", () => new FileStore(next(), { fsync: true })],
  ["a LogStore", () => new LogStore(next())],
  ["a LogStore with fsync", () => new LogStore(next(), { fsync: true })],
  ["a BufferStore", () => new BufferStore(new Dict(), new LogStore(next()))],
  [
    "a BufferStore that waits",
    () => new BufferStore(new Dict(), new FileStore(next()), { availableMemory: 1 }),
  ],
];

/** Newer than the types that we compile against. */
type Growable = new (byteLength: number, options: { maxByteLength: number }) => ArrayBuffer;
type Resizable = ArrayBuffer & { resize(byteLength: number): void };

/** What its owner may do to a buffer while it is being written. */
const CHANGES: { make(byteLength: number): Uint8Array; change(buffer: ArrayBuffer): void }[] = [
  {
    make: (byteLength) => new Uint8Array(byteLength).fill(65),
    change: (buffer) => structuredClone(buffer, { transfer: [buffer] }),
  },
  {
    make: (byteLength) =>
      new Uint8Array(new (ArrayBuffer as Growable)(byteLength, { maxByteLength: byteLength })).fill(
        65,
      ),
    change: (buffer) => (buffer as Resizable).resize(buffer.byteLength >> 1),
  },
];

async function outcomeOf(write: Promise<void>): Promise<"done" | "refused"> {
  try {
    await write;
    return "done";
  } catch (error) {
    if (!isPartdError(error, "ERR_PARTD_VALUE")) throw error;
    return "refused";
  }
}

async function lengthsOf(store: Store): Promise<number[]> {
  return [await store.size("x"), await store.size("y")];
}

/** A buffer is transferred or resized at several moments after each call. */
async function check(store: Store): Promise<void> {
  for (const { make, change } of CHANGES) {
    await store.delete("x");
    for (const byteLength of [1, 30, 5_000, 300_000, 3_000_000]) {
      for (const turns of [0, 1, 3, 20, -1]) {
        const [x, y] = (await lengthsOf(store)) as [number, number];
        const lost = make(byteLength);
        const twice = [["x", lost] as const, ["y", lost] as const];
        const appended = outcomeOf(store.append(twice));
        const beside = store.append({ y: new Uint8Array(1) });
        for (let i = 0; i < turns; i++) await null;
        if (turns < 0) await new Promise(setImmediate);
        change(lost.buffer as ArrayBuffer);
        const added = (await appended) === "done" ? byteLength : 0;
        await beside;
        expect(await lengthsOf(store)).toEqual([x + added, y + added + 1]);
      }
      const [before] = (await lengthsOf(store)) as [number];
      const set = make(byteLength);
      const done = outcomeOf(store.iset("x", set, { replace: true } as object));
      change(set.buffer as ArrayBuffer);
      const kept = (await done) === "done" ? byteLength : before;
      expect((await lengthsOf(store))[0]).toBe(kept);
    }
  }
  const gone = new Uint8Array(3);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  expect(await outcomeOf(store.iset("y", gone))).toBe("refused");
  const lengths = await lengthsOf(store);
  expect(lengths[1]).toBeGreaterThan(0);
  // What is read matches its checksums.
  expect((await store.get(["x", "y"])).map(({ byteLength }) => byteLength)).toEqual(lengths);
}

test.each(STORES)(
  "a buffer that changes while %s writes it is written whole or not at all",
  async (_, open) => {
    await using store = open();
    await check(store);
  },
);

test("a buffer that changes while a Client sends it is written whole or not at all", async () => {
  await using server = await Server.listen(new Dict(), { limits: { message: 1 << 20 } });
  await using client = new Client(server.address);
  let lost = 0;
  client.addEventListener("disconnect", () => lost++);
  await check(client);
  expect(lost).toBe(0);
});
