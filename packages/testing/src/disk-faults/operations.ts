import type { Store } from "@partd/core";
import { equal } from "../check.js";
import { bytes, collect, readStream, text } from "../store/store-case.js";

/** The value of each key, as text. */
export interface Values {
  readonly [key: string]: string;
}

/** A call of a store, during which the file system fails. */
export interface DiskOperation {
  readonly name: string;
  /** Rejects also if its result is wrong. `held` is the store's content. */
  readonly run: (store: Store, held: Values) => Promise<unknown>;
  /** The store's content after success. */
  readonly after: (before: Values) => Values;
  /** What may have been done when it rejects. Default: nothing. */
  readonly onFailure?: "nothing" | "nothing or all" | "some keys";
  /** Whether the store is closed afterwards. */
  readonly closes?: boolean;
}

/** A key that is too long for the name of a file. */
const LONG = "l".repeat(300);
const KEYS = ["x", "y", LONG, "new"];
/** The data set's content before the operation. */
export const BEFORE: Values = { x: "x", y: "y", [LONG]: "l", new: "" };

export async function valuesOf(store: Store): Promise<Values> {
  const found = await store.get(KEYS);
  return Object.fromEntries(KEYS.map((key, i) => [key, text(found[i] as Uint8Array)]));
}

/** The values as an argument of `append`. */
export function bytesOf(values: Values): Record<string, Uint8Array> {
  const there = Object.entries(values).filter(([, value]) => value !== "");
  return Object.fromEntries(there.map(([key, value]) => [key, bytes(value)]));
}

/** The effect of an operation that only reads. */
export const unchanged = (before: Values): Values => before;
const append = (name: string, added: Values): DiskOperation => ({
  name,
  run: (store) => store.append(bytesOf(added)),
  after: (before) => ({
    ...before,
    ...Object.fromEntries(Object.entries(added).map(([key, one]) => [key, before[key] + one])),
  }),
});
const remove = (
  name: string,
  keys: readonly string[],
  run: DiskOperation["run"],
): DiskOperation => ({
  name,
  run,
  after: (before: Values) => ({ ...before, ...Object.fromEntries(keys.map((key) => [key, ""])) }),
  onFailure: "some keys",
});

/** Operations of every store. */
export const diskOperations: readonly DiskOperation[] = [
  append("append", { x: "+", new: "+", [LONG]: "+" }),
  append("append of a long value", { x: "+".repeat(200_000) }),
  {
    name: "get",
    run: async (store, held) => equal(await valuesOf(store), held, "the values"),
    after: unchanged,
  },
  {
    name: "stream",
    run: async (store, held) => equal(await readStream(store, "x"), held.x, "the value"),
    after: unchanged,
  },
  {
    name: "entries",
    run: async (store, held) => {
      const found = (await collect(store.entries())).map(([key, value]) => [key, text(value)]);
      equal(
        found.sort(),
        Object.entries(held)
          .filter(([, value]) => value)
          .sort(),
        "the entries",
      );
    },
    after: unchanged,
  },
  {
    name: "keys, count and size",
    run: async (store, held) => {
      const there = Object.keys(held)
        .filter((key) => held[key] !== "")
        .sort();
      equal((await collect(store.keys())).sort(), there, "the keys");
      equal(await store.count(), there.length, "the count");
      equal(await store.size("x"), held.x?.length, "the size");
    },
    after: unchanged,
  },
  {
    name: "iset",
    run: (store) => store.iset("x", bytes("set")),
    after: (before) => ({ ...before, x: "set" }),
    onFailure: "nothing or all",
  },
  remove("delete", ["x", LONG], (store) => store.delete(["x", LONG])),
  remove("pop", ["x", "y"], async (store, held) => {
    equal((await store.pop(["x", "y"])).map(text), [held.x, held.y], "the values");
  }),
  remove("drop", KEYS, (store) => store.drop()),
  {
    name: "withLock",
    run: (store) =>
      store.withLock(async (locked) => {
        const value = text(await locked.get("x"));
        await locked.append({ new: bytes(value) });
      }),
    after: (before) => ({ ...before, new: `${before.new}${before.x}` }),
    onFailure: "nothing or all",
  },
  { name: "close", run: (store) => store.close(), after: unchanged, closes: true },
];
