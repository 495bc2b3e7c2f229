import { isPartdError, type Store } from "@partd/core";
import { equal, fail, ok, rejection, rejects } from "../check.js";
import {
  bytes,
  collect,
  read,
  type StoreCase,
  type StoreContractOptions,
  turns,
} from "./store-case.js";

const persistent = ({ persistent }: StoreContractOptions) => persistent;

export const lifecycleCases: readonly StoreCase[] = [
  {
    name: "a store is used at once, by any first operation",
    run: async ({ store }) => {
      const answers = await Promise.all([
        store.get("x"),
        store.delete("x"),
        collect(store.keys()),
        collect(store.stream("x")),
        store.flush(),
        store.drop(),
        store.withLock(() => "held"),
      ]);
      equal(answers[0], new Uint8Array(0), "x");
      equal(answers[6], "held", "withLock");
      await store.append({ x: bytes("1") });
      equal(await read(store, "x"), "1", "x");
    },
  },
  {
    name: "flush keeps everything as it is",
    run: async ({ store }) => {
      await store.flush();
      await store.append({ x: bytes("1") });
      await Promise.all([store.flush(), store.append({ x: bytes("2") }), store.flush()]);
      await store.flush();
      equal(await read(store, "x"), "12", "x");
    },
  },
  {
    name: "drop destroys the data set, and the store stays usable",
    run: async ({ store }) => {
      await store.drop();
      for (const value of ["1", "2"]) {
        await store.append({ x: bytes(value), y: bytes("-") });
        equal(await read(store, "x"), value, "x");
        await store.drop();
        equal(await collect(store.keys()), [], "keys");
        equal(await read(store, "x"), "", "x after drop");
      }
    },
  },
  {
    name: "after close every operation rejects with ERR_PARTD_CLOSED, and closing again does nothing",
    run: async ({ store }) => {
      await store.append({ x: bytes("1") });
      await store.close();
      await store.close();
      await Promise.all([store.close(), store.close()]);
      await closed(store);
    },
  },
  {
    name: "a store that was never used closes too",
    run: async ({ store }) => {
      await Promise.all([store.close(), store.close()]);
      await closed(store);
    },
  },
  {
    name: "await using closes the store",
    run: async ({ store }) => {
      await store.append({ x: bytes("1") });
      await store[Symbol.asyncDispose]();
      await closed(store);
      await store[Symbol.asyncDispose]();
    },
  },
  {
    name: "close waits for the calls that came before it",
    run: async ({ store, options, open }) => {
      let over = false;
      const calls = Promise.all([
        store.append({ x: bytes("1") }),
        store.append({ x: bytes("2"), y: bytes("3") }),
        store.get("x"),
        store.withLock(async (held) => {
          await turns();
          await held.append({ z: bytes("4") });
          over = true;
        }),
      ]);
      const closing = store.close().then(() => ok(over, "close should wait for withLock"));
      await Promise.all([calls, closing]);
      if (!options.persistent) return;
      const again = await open();
      const values = await again.get(["y", "z"]);
      equal(values, [bytes("3"), bytes("4")], "y and z, when opened again");
      equal((await read(again, "x")).length, 2, "length of x, when opened again");
    },
  },
  {
    name: "a stream and a listing go on after close to their end, or to ERR_PARTD_CLOSED",
    run: async ({ store }) => {
      for (let i = 0; i < 4; i++) {
        await store.append({ x: new Uint8Array(300_000).fill(i), [`k${i}`]: bytes("1") });
      }
      const pieces = store.stream("x")[Symbol.asyncIterator]();
      const keys = store.keys()[Symbol.asyncIterator]();
      const begun = [await pieces.next(), await keys.next()] as const;
      await store.close();
      let length = (begun[0].value as Uint8Array).byteLength;
      const ended = await endsOrCloses(pieces, (piece) => {
        length += piece.byteLength;
      });
      if (ended) equal(length, 1_200_000, "length of a stream that came to its end");
      let count = 1;
      if (await endsOrCloses(keys, () => count++)) equal(count, 5, "the number of keys");
    },
  },
  {
    name: "everything is there when the data set is opened again",
    when: persistent,
    run: async ({ store, open }) => {
      await store.append({ a: bytes("1"), b: bytes("2"), c: bytes("3") });
      await store.append({ a: bytes("+") });
      await store.delete("b");
      await store.iset("c", bytes("set"));
      await store.close();
      const second = await open();
      equal(await second.get(["a", "b", "c"]), [bytes("1+"), bytes(""), bytes("set")], "a, b, c");
      equal((await collect(second.keys())).sort(), ["a", "c"], "keys");
      await second.append({ a: bytes("!"), b: bytes("new") });
      await second.close();
      const third = await open();
      equal(await third.get(["a", "b"]), [bytes("1+!"), bytes("new")], "a, b");
      await third.drop();
      await third.close();
      equal(await collect((await open()).keys()), [], "keys after drop");
    },
  },
  {
    name: "iset through a store that was opened again sets again",
    when: persistent,
    run: async ({ store, open }) => {
      await store.iset("x", bytes("1"));
      await store.close();
      const again = await open();
      await again.iset("x", bytes("2"));
      equal(await read(again, "x"), "2", "x");
    },
  },
  {
    name: "a store is made without I/O: what cannot be opened rejects the first operation",
    when: ({ openBroken }) => openBroken !== undefined,
    broken: true,
    run: async ({ store }) => {
      for (const operation of operations(store)) {
        const error = await rejection(operation, operation.name);
        if (!isPartdError(error)) fail(`${operation.name} should reject with a PartdError`, error);
        ok(error.code !== "ERR_PARTD_CLOSED", "the store is not closed");
      }
      const appended = await rejection(() => store.append({ x: bytes("1") }), "append");
      ok((appended as Error).cause !== undefined, "the error should carry its cause");
      await store.close();
      await closed(store);
    },
  },
  {
    name: "two stores of one data set see each other's appends, deletions and drop",
    when: ({ shared }) => shared,
    run: async ({ store, open }) => {
      const other = await open();
      await store.append({ x: bytes("1"), y: bytes("1") });
      await other.append({ x: bytes("2") });
      await store.append({ x: bytes("3") });
      equal(await read(other, "x"), "123", "x");
      equal(await read(store, "x"), "123", "x");
      await other.delete("y");
      equal(await collect(store.keys()), ["x"], "keys");
      await store.drop();
      equal(await collect(other.keys()), [], "keys after drop");
      await other.append({ x: bytes("4") });
      equal(await read(store, "x"), "4", "x after drop");
      await other.close();
      await store.append({ x: bytes("5") });
      equal(await read(store, "x"), "45", "x after the other was closed");
    },
  },
];

/** Whether the iterator reached its end; closing the store may have ended it earlier. */
async function endsOrCloses<T>(items: AsyncIterator<T>, each: (item: T) => void): Promise<boolean> {
  try {
    for (let next = await items.next(); !next.done; next = await items.next()) each(next.value);
    return true;
  } catch (error) {
    if (isPartdError(error, "ERR_PARTD_CLOSED")) return false;
    return fail("what goes on after close should reject with ERR_PARTD_CLOSED", error);
  }
}

async function closed(store: Store): Promise<void> {
  for (const operation of operations(store)) {
    await rejects(operation, "ERR_PARTD_CLOSED", `${operation.name} after close`);
  }
}

function operations(store: Store) {
  return [
    function append() {
      return store.append({ x: bytes("1") });
    },
    function get() {
      return store.get("x");
    },
    function stream() {
      return collect(store.stream("x"));
    },
    function iset() {
      return store.iset("x", bytes("1"));
    },
    function pop() {
      return store.pop(["x"]);
    },
    function keys() {
      return collect(store.keys());
    },
    function withLock() {
      return store.withLock(() => undefined);
    },
    function flush() {
      return store.flush();
    },
    function drop() {
      return store.drop();
    },
    async function $delete() {
      await store.delete("x");
    },
  ];
}
