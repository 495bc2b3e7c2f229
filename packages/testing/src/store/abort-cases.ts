import type { OperationOptions, Store } from "@partd/core";
import { equal, ok, rejection } from "../check.js";
import { anotherCaller, bytes, collect, read, type StoreCase } from "./store-case.js";

export const abortCases: readonly StoreCase[] = [
  {
    name: "an operation whose signal is aborted before it begins rejects with the signal's reason",
    run: async ({ store }) => {
      await store.append({ x: bytes("1") });
      const reason = new Error("given up");
      for (const [name, operation] of operations(store, { signal: AbortSignal.abort(reason) })) {
        const error = await rejection(operation, name);
        ok(error === reason, `${name} should reject with the signal's reason, not with ${error}`);
      }
      for (const odd of ["text", 0, null]) {
        const signal = AbortSignal.abort(odd);
        const error = await rejection(() => store.get("x", { signal }), "get");
        ok(error === odd, `get should reject with the reason ${String(odd)}, not with ${error}`);
      }
      equal(await collect(store.keys()), ["x"], "keys");
      equal(await read(store, "x"), "1", "x");
      await store.iset("x", bytes("2"));
      equal(await read(store, "x"), "2", "x: an aborted iset is none");
    },
  },
  {
    name: "an operation that waits for the lock can be given up, and leaves no trace",
    run: async ({ store }) => {
      const reason = new Error("given up");
      await store.append({ x: bytes("1") });
      const another = anotherCaller();
      await store.withLock(async (held) => {
        const controller = new AbortController();
        const waiting = operations(store, { signal: controller.signal }).map(
          async ([name, operation]) => {
            const error = await rejection(() => another(operation), name);
            ok(error === reason, `${name} should reject with the signal's reason, not ${error}`);
          },
        );
        const told = Promise.all(waiting);
        controller.abort(reason);
        await told; // The lock is held now.
        await held.append({ x: bytes("2") });
      });
      equal(await collect(store.keys()), ["x"], "keys");
      equal(await read(store, "x"), "12", "x");
    },
  },
  {
    name: "one signal serves any number of calls",
    run: async ({ store }) => {
      const counted = new CountedSignal();
      const { signal } = counted;
      await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          await store.append({ x: bytes("1"), [`k${i}`]: bytes("2") }, { signal });
          await store.get(["x", `k${i}`], { signal });
          if (i % 10 === 0) await store.withLock((held) => held.get("x", { signal }), { signal });
          if (i % 10 === 1) await store.pop(`k${i}`, { signal });
          if (i % 10 === 2) await collect(store.stream("x", { signal }));
        }),
      );
      equal((await read(store, "x")).length, 100, "length of x");
      counted.check();
    },
  },
  {
    name: "an append that is aborted under way is there whole or not at all",
    run: async ({ store, options }) => {
      const batch = (i: number) =>
        Array.from({ length: 50 }, (_, key) => [`k${key}`, bytes(`<${i}>`)] as const);
      const done: number[] = [];
      for (let i = 0; i < 30; i++) {
        const controller = new AbortController();
        const reason = new Error(`given up ${i}`);
        const append = store.append(batch(i), { signal: controller.signal });
        for (let turn = 0; turn < i % 7; turn++) await null;
        if (i % 5 === 4) await new Promise<void>((resolve) => setTimeout(resolve));
        controller.abort(reason);
        try {
          await append;
          done.push(i);
        } catch (error) {
          ok(error === reason, `append should reject with the signal's reason, not ${error}`);
        }
      }
      const values = await Promise.all(
        Array.from({ length: 50 }, (_, key) => read(store, `k${key}`)),
      );
      ok(
        options.atomic === "bucket" || values.every((value) => value === values[0]),
        "every key should hold the same appends",
      );
      for (const value of values) {
        for (const i of done)
          ok(value.includes(`<${i}>`), `append ${i} resolved, and is not there`);
        const appends = value.match(/<\d+>/g) ?? [];
        equal(appends.join(""), value, "an append is there whole");
        equal(new Set(appends).size, appends.length, "an append is there once");
      }
    },
  },
  {
    name: "a stream and a listing of keys stop when they are aborted",
    run: async ({ store }) => {
      for (let i = 0; i < 4; i++) {
        await store.append({ x: new Uint8Array(300_000).fill(i), [`k${i}`]: bytes("1") });
      }
      await stops((options) => store.stream("x", options), "stream", "another piece");
      await stops((options) => store.keys(options), "keys", "another key");
      await stops((options) => store.entries(options), "entries", "another entry");
      equal((await store.get("x")).byteLength, 1_200_000, "length of x");
    },
  },
];

/** Fails if anything follows the abort other than the signal's reason or the end. */
async function stops<T>(
  open: (options: OperationOptions) => AsyncIterable<T>,
  what: string,
  another: string,
): Promise<void> {
  const controller = new AbortController();
  const reason = new Error("given up");
  const items = open({ signal: controller.signal })[Symbol.asyncIterator]();
  await items.next();
  controller.abort(reason);
  const [next] = await Promise.allSettled([items.next()]);
  if (next.status === "rejected") {
    ok(next.reason === reason, `${what} should reject with the reason, not ${next.reason}`);
  } else {
    // The whole value was one piece.
    ok(next.value.done, `${what} gave ${another} after it was aborted`);
  }
}

/** Each operation of a store, with these options. */
export function operations(
  store: Store,
  options: OperationOptions,
): (readonly [string, () => Promise<unknown>])[] {
  return [
    ["append", () => store.append({ y: bytes("1") }, options)],
    ["get", () => store.get("x", options)],
    ["stream", () => collect(store.stream("x", options))],
    ["iset", () => store.iset("x", bytes("2"), options)],
    ["delete", () => store.delete("x", options)],
    ["pop", () => store.pop("x", options)],
    ["keys", () => collect(store.keys(options))],
    ["entries", () => collect(store.entries(options))],
    ["count", () => store.count(options)],
    ["size", () => store.size("x", options)],
    ["withLock", () => store.withLock((held) => held.drop(), options)],
    ["flush", () => store.flush(options)],
    ["drop", () => store.drop(options)],
  ];
}

/**
 * A signal that counts its listeners. Node warns of a leak at the eleventh, which a program that
 * stops all its calls with one signal should not see.
 */
class CountedSignal {
  readonly signal = new AbortController().signal;
  #listeners = 0;
  #most = 0;

  constructor() {
    const { signal } = this;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      this.#most = Math.max(this.#most, ++this.#listeners);
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      this.#listeners--;
      remove(...args);
    };
  }

  check(): void {
    ok(
      this.#most <= 10,
      `calls that share a signal put ${this.#most} listeners on it; Node warns of a leak at 11 (onAbort in @partd/core shares one)`,
    );
  }
}
