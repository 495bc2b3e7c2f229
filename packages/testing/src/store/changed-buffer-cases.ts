import { isPartdError, type Store } from "@partd/core";
import { equal, rejects } from "../check.js";
import { bytes, type StoreCase, type StoreContractOptions, turns } from "./store-case.js";

/** What its owner may do to a buffer while it is being written. */
export const changedBufferCases: readonly StoreCase[] = [
  {
    name: "a buffer that is transferred while it is written is there whole or refused",
    run: ({ store, options }) => changeBuffers(store, options, plain, transfer),
  },
  {
    name: "a buffer that shrinks while it is written is there whole or refused",
    run: ({ store, options }) => changeBuffers(store, options, resizable, shrink),
  },
  {
    name: "bytes that change while they are written are there, old or new, and do no damage",
    run: async ({ store, options: { largestValue = 17 << 20 } }) => {
      await store.append({ before: bytes("1") });
      for (const byteLength of [5_000, 300_000, 3_000_000]) {
        if (byteLength > largestValue) continue;
        for (const every of [1, 7]) await overwrite(store, byteLength, every);
      }
      equal((await store.get("before")).byteLength, 1, "bytes of a key beside it");
    },
  },
  {
    name: "iset refuses bytes that were transferred, and keeps the value",
    run: async ({ store }) => {
      await store.append({ x: bytes("1") });
      const gone = bytes("2");
      transfer(gone.buffer as ArrayBuffer);
      await rejects(() => store.iset("x", gone), "ERR_PARTD_VALUE", "iset of a detached array");
      equal(await lengthsOf(store), [1, 0], "bytes of x and y");
    },
  },
];

/** Changes buffers at several moments after each call, and sees that no append beside it suffers. */
async function changeBuffers(
  store: Store,
  { atomic, largestValue = LENGTHS.at(-1) as number }: StoreContractOptions,
  make: (byteLength: number) => Uint8Array,
  change: (buffer: ArrayBuffer) => void,
): Promise<void> {
  // The keys of a batch may lie in two buckets, of which one alone is refused.
  const second = atomic === "bucket" ? "x" : "y";
  for (const byteLength of LENGTHS.filter((length) => length <= largestValue)) {
    await store.delete(["x", "y"]);
    let [x, y] = [0, 0];
    for (const moment of byteLength < LONG ? MOMENTS : [1, 20, LATER]) {
      const value = make(byteLength);
      const entries = [["x", value] as const, [second, nodeView(value)] as const];
      const appended = counts(store.append(entries), store, x);
      const beside = store.append({ y: bytes("1") });
      await changeAt(moment, () => change(value.buffer as ArrayBuffer));
      const added = (await appended) ? byteLength : 0;
      await beside;
      x += second === "x" ? 2 * added : added;
      y += second === "y" ? added + 1 : 1;
      equal(await lengthsOf(store), [x, y], `bytes of x and y, ${byteLength} at ${moment}`);

      const set = make(byteLength);
      const isSet = counts(store.iset("x", nodeView(set), REPLACE), store, x);
      await changeAt(moment, () => change(set.buffer as ArrayBuffer));
      if (await isSet) x = byteLength;
      equal(await lengthsOf(store), [x, y], `bytes of x and y, ${byteLength} set at ${moment}`);
    }
  }
}

/** Changes a byte of each 1024 after the call, and again every few microtasks until it has resolved. */
async function overwrite(store: Store, byteLength: number, every: number): Promise<void> {
  await store.delete("x");
  const value = plain(byteLength);
  let isWritten = false;
  const appended = store.append({ x: value }).finally(() => {
    isWritten = true;
  });
  let turn = 0;
  do {
    for (let at = turn % 1024; at < byteLength; at += 1024) value[at] = 66;
    for (let i = 0; i < every; i++) await null;
    if (turn++ % 3 === 2) await turns(1);
  } while (!isWritten);
  await appended;
  const there = await store.get("x");
  equal(there.byteLength, byteLength, "bytes of the value");
  equal(
    there.findIndex((byte) => byte !== 65 && byte !== 66),
    -1,
    "a byte that never was",
  );
}

async function changeAt(moment: number, change: () => void): Promise<void> {
  if (moment === LATER) await turns(1);
  for (let i = 0; i < moment; i++) await null;
  change();
}

const LATER = -1;
/** Microtasks until a buffer is changed, or a turn of the event loop. */
const MOMENTS = [0, 1, 2, 3, 5, 8, 13, 21, LATER];
/** Values that stores copy, keep, write through the thread pool, in slices, and in parts. */
const LENGTHS = [1, 30, 5_000, 300_000, 3_000_000, 17 << 20];
/** From here on a few moments are enough. */
const LONG = 1_000_000;
const REPLACE = { replace: true } as object;

/** Whether a write counts. If its outcome is unknown, x tells, which had `before` bytes. */
async function counts(write: Promise<void>, store: Store, before: number): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (isPartdError(error, "ERR_PARTD_VALUE")) return false;
    if (!isPartdError(error, "ERR_PARTD_CONNECTION")) throw error;
    // A connection was lost on the way, and a buffer that is gone cannot be sent again.
    return (await lengthsOf(store))[0] !== before;
  }
}

/** Of the values, not what `size` says: what is read matches its checksums. */
async function lengthsOf(store: Store): Promise<number[]> {
  return (await store.get(["x", "y"])).map(({ byteLength }) => byteLength);
}

const plain = (byteLength: number) => new Uint8Array(byteLength).fill(65);
const transfer = (buffer: ArrayBuffer) => structuredClone(buffer, { transfer: [buffer] });

const resizable = (byteLength: number) =>
  new Uint8Array(new (ArrayBuffer as Growable)(byteLength, { maxByteLength: byteLength })).fill(65);
const shrink = (buffer: ArrayBuffer) => (buffer as Resizable).resize(buffer.byteLength >> 1);

/** Node's view of the same bytes, whose `slice` makes no copy. */
function nodeView(bytes: Uint8Array): Uint8Array {
  const { Buffer } = globalThis as {
    Buffer?: { from(memory: ArrayBufferLike): Uint8Array };
  };
  return Buffer ? Buffer.from(bytes.buffer) : bytes;
}

/** Newer than the types that we compile against. */
type Growable = new (byteLength: number, options: { maxByteLength: number }) => ArrayBuffer;
type Resizable = ArrayBuffer & { resize(byteLength: number): void };
