import { AsyncResource } from "node:async_hooks";
import { describe, expect, jest, test } from "@jest/globals";
import {
  Dict,
  isPartdError,
  type KeyTree,
  type OperationOptions,
  PartdError,
  type Store,
  tuple,
} from "@partd/core";
import { BaseStore, type Batch, concatBytes, type ExclusivePurpose } from "@partd/core/author";

const one = Uint8Array.of(1);

/** The four primitives, and a record of every call; each can be made to wait or fail. */
class Recorded extends BaseStore {
  readonly calls: string[] = [];
  readonly values = new Map<string, Uint8Array>();
  /** What the primitive of this name does first. */
  readonly first = new Map<string, () => unknown>();

  protected override async _open(): Promise<void> {
    await this.#enter("open");
  }
  protected async _append(batch: Batch): Promise<void> {
    await this.#enter(`append ${batch.keys.join(" ")}`);
    for (const [i, key] of batch.keys.entries()) {
      const before = this.values.get(key) ?? new Uint8Array(0);
      this.values.set(key, concatBytes([before, batch.values[i] as Uint8Array]));
    }
  }
  protected async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    await this.#enter(`get ${keys.join(" ")}`);
    return keys.map((key) => (this.values.get(key) ?? new Uint8Array(0)).slice());
  }
  protected async _delete(keys: readonly string[]): Promise<void> {
    await this.#enter(`delete ${keys.join(" ")}`);
    for (const key of keys) this.values.delete(key);
  }
  protected async _keys(): Promise<string[]> {
    await this.#enter("keys");
    return [...this.values.keys()];
  }
  protected override async _flush(): Promise<void> {
    await this.#enter("flush");
  }
  protected override async _close(): Promise<void> {
    await this.#enter("close");
  }

  async #enter(call: string): Promise<void> {
    this.calls.push(call);
    await this.first.get(call.split(" ")[0] as string)?.();
  }
}

describe("opening", () => {
  test("happens with the first operation, once, however many wait for it", async () => {
    const store = new Recorded();
    await settle();
    expect(store.calls).toEqual([]);
    await Promise.all([store.get("a"), store.get("b"), store.append({ c: one }), store.flush()]);
    expect(store.calls.filter((call) => call === "open")).toEqual(["open"]);
    expect(store.calls[0]).toBe("open");
  });

  test("that fails rejects what waits for it, and is tried again by the next", async () => {
    const store = new Recorded();
    const error = new PartdError("ERR_PARTD_IO", "not now");
    store.first.set("open", () => Promise.reject(error));
    const results = await Promise.allSettled([
      store.get("a"),
      store.append({ a: one }),
      store.drop(),
    ]);
    for (const result of results) expect(result).toMatchObject({ reason: error });
    store.first.clear();
    expect(await store.get("a")).toEqual(new Uint8Array(0));
    expect(store.calls.at(-1)).toBe("get a");
  });

  test("that failed needs no close", async () => {
    const store = new Recorded();
    store.first.set("open", () => Promise.reject(new Error("never")));
    await expect(store.get("a")).rejects.toThrow("never");
    await store.close();
    expect(store.calls).toEqual(["open"]);
    await closed(store.get("a"));
  });

  test("can be given up by one and go on for the others; close waits for it", async () => {
    const store = new Recorded();
    const door = promise();
    store.first.set("open", () => door.wait);
    const controller = new AbortController();
    const impatient = store.get("a", { signal: controller.signal });
    const patient = store.get("b");
    await settle();
    controller.abort("reason");
    await expect(impatient).rejects.toBe("reason");
    const closing = store.close();
    door.resolve();
    expect(await patient).toEqual(new Uint8Array(0));
    await closing;
    expect(store.calls).toEqual(["open", "get b", "flush", "close"]);
  });

  test("that everyone has given up is closed all the same", async () => {
    const store = new Recorded();
    const door = promise();
    store.first.set("open", () => door.wait);
    const controller = new AbortController();
    const impatient = store.get("a", { signal: controller.signal });
    await settle();
    controller.abort("reason");
    await expect(impatient).rejects.toBe("reason");
    const closing = store.close();
    await settle();
    door.resolve();
    await closing;
    expect(store.calls).toEqual(["open", "flush", "close"]);
  });
});

describe("closing", () => {
  test("flushes, then closes, after what came before", async () => {
    const store = new Recorded();
    const append = store.append({ a: one });
    await store.close();
    await append;
    expect(store.calls).toEqual(["open", "append a", "flush", "close"]);
    await closed(store.append({ a: one }));
  });

  test("a store whose flush fails stays open, and close can be tried again", async () => {
    const store = new Recorded();
    await store.append({ a: one });
    store.first.set("flush", () => Promise.reject(new Error("disk full")));
    await expect(store.close()).rejects.toThrow("disk full");
    expect(await store.get("a")).toEqual(one);
    await expect(store.close()).rejects.toThrow("disk full");
    store.first.clear();
    await store.close();
    expect(store.calls.slice(-2)).toEqual(["flush", "close"]);
    await closed(store.get("a"));
  });

  test("a store whose last step fails is closed", async () => {
    const store = new Recorded();
    await store.append({ a: one });
    store.first.set("close", () => Promise.reject(new Error("lost")));
    await expect(store.close()).rejects.toThrow("lost");
    await closed(store.get("a"));
  });
});

describe("primitives", () => {
  test("get no empty values, no empty batch, and encoded keys", async () => {
    const store = new Recorded();
    await store.append([
      ["a/b", one],
      ["empty", new Uint8Array(0)],
      ["", one],
    ]);
    await store.append({ empty: new Uint8Array(0) });
    expect(store.calls).toEqual(["open", "append a%2Fb %"]);
  });

  test("appends, gets and flushes overlap; delete is alone", async () => {
    const store = new Recorded();
    await store.get("x");
    const door = promise();
    store.first.set("append", () => door.wait);
    const append = store.append({ a: one });
    await Promise.all([store.get("a"), store.flush()]);
    const deleting = store.delete("a");
    const behind = store.get("a");
    await settle();
    expect(store.calls.slice(2)).toEqual(["append a", "get a", "flush"]);
    door.resolve();
    await Promise.all([append, deleting, behind]);
    expect(store.calls.slice(5)).toEqual(["delete a", "get a"]);
  });

  test("what the caller does to a list of keys while get waits changes no answer", async () => {
    const store = new Recorded();
    await store.append({ a: one });
    for (const read of [
      (keys: string[][]) => store.get(keys),
      (keys: string[][]) => store.pop(keys),
    ]) {
      const keys = [["a"], ["b"]];
      const reading = read(keys);
      keys[0]!.push("c");
      keys.pop();
      expect(await reading).toEqual([[one], [new Uint8Array(0)]]);
    }
  });

  test("get refuses a list of keys that holds itself, or is nested too deep", async () => {
    const cyclic: KeyTree[] = ["a"];
    cyclic.push(cyclic);
    let deep: KeyTree = "a";
    for (let i = 0; i < 100_000; i++) deep = [deep];
    const store = new Recorded();
    for (const keys of [cyclic, deep]) {
      await expect(store.get(keys)).rejects.toMatchObject({ code: "ERR_PARTD_KEY" });
      await expect(store.pop(keys)).rejects.toMatchObject({ code: "ERR_PARTD_KEY" });
    }
    expect(store.calls).toEqual([]);
  });

  test("a failed iset is none, and a pop that could not read forgets none", async () => {
    const store = new Recorded();
    await store.iset("a", one);
    store.first.set("delete", () => Promise.reject(new Error("busy")));
    await expect(store.iset("b", one)).rejects.toThrow("busy");
    store.first.set("get", () => Promise.reject(new Error("damaged")));
    await expect(store.pop("a")).rejects.toThrow("damaged");
    store.first.clear();
    await store.iset("a", Uint8Array.of(2));
    expect(await store.get("a")).toEqual(one);
    await store.iset("b", Uint8Array.of(2));
    expect(await store.get("b")).toEqual(Uint8Array.of(2));
  });

  test.each<[string, (store: Store) => Promise<unknown>]>([
    ["delete", (store) => store.delete(["a", "b"])],
    ["pop", (store) => store.pop(["a", "b"])],
    ["drop", (store) => store.drop()],
    ["delete in withLock", (store) => store.withLock((held) => held.delete(["a", "b"]))],
    ["pop in withLock", (store) => store.withLock((held) => held.pop(["a", "b"]))],
    ["drop in withLock", (store) => store.withLock((held) => held.drop())],
  ])("a %s that fails midway leaves no key gone that counts as set", async (_, remove) => {
    class Failing extends Recorded {
      protected override async _delete(keys: readonly string[]): Promise<void> {
        await super._delete(keys.slice(0, 1));
        if (keys.length > 1) throw new Error("midway");
      }
    }
    const store = new Failing();
    for (const key of ["a", "b"]) await store.iset(key, one);
    await expect(remove(store)).rejects.toThrow("midway");
    for (const key of ["a", "b"]) await store.iset(key, one);
    expect(await store.get(["a", "b"])).toEqual([one, one]);
  });
});

describe("withLock", () => {
  test("does not flush the store, and waits for what was begun in it", async () => {
    const store = new Recorded();
    await store.get("x");
    const door = promise();
    store.first.set("append", () => door.wait);
    const locking = store.withLock((held) => {
      void held.append({ a: one });
    });
    const behind = store.get("a");
    await settle();
    door.resolve();
    await locking;
    expect(await behind).toEqual(one);
    expect(store.calls).toEqual(["open", "get x", "append a", "get a"]);
  });

  test("closes the held store: also for a stream and a listing that were begun in it", async () => {
    const store = new Recorded();
    await store.append({ a: one, b: one });
    const kept: AsyncIterator<unknown>[] = [];
    let held!: Store;
    await store.withLock(async (store) => {
      held = store;
      for (const items of [store.keys(), store.stream("a")]) {
        const iterator = items[Symbol.asyncIterator]();
        if (kept.length === 0) await iterator.next();
        kept.push(iterator);
      }
    });
    for (const iterator of kept) await closed(iterator.next());
    await closed(held.append({ a: one }));
    await held.close();
    expect(await store.get("a")).toEqual(one);
  });

  test("closing the held store early leaves the outer one open", async () => {
    const store = new Recorded();
    await store.withLock(async (held) => {
      await held.append({ a: one });
      await held.close();
      await closed(held.get("a"));
    });
    expect(await store.get("a")).toEqual(one);
  });

  test("does not run when its signal was aborted while it waited", async () => {
    const store = new Recorded();
    const controller = new AbortController();
    let ran = false;
    const first = store.withLock(() => settle());
    const second = store.withLock(() => (ran = true), { signal: controller.signal });
    controller.abort("reason");
    await expect(second).rejects.toBe("reason");
    await first;
    await store.get("a");
    expect(ran).toBe(false);
  });
});

test("calls that share one signal are given up together, by one listener", async () => {
  const store = new Recorded();
  const controller = new AbortController();
  const add = jest.spyOn(controller.signal, "addEventListener");
  const another = new AsyncResource("another caller");
  await store.withLock(async () => {
    const options = { signal: controller.signal };
    const waiting = another.runInAsyncScope(() =>
      Array.from({ length: 100 }, () => store.get("a", options)),
    );
    const told = Promise.allSettled(waiting);
    controller.abort("reason");
    for (const result of await told) expect(result).toMatchObject({ reason: "reason" });
  });
  expect(add).toHaveBeenCalledTimes(1); // Node warns of a leak at the eleventh.
});

async function closed(call: Promise<unknown>): Promise<void> {
  const [result] = await Promise.allSettled([call]);
  expect(isPartdError((result as PromiseRejectedResult).reason, "ERR_PARTD_CLOSED")).toBe(true);
}

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

function promise(): { readonly wait: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void;
  const wait = new Promise<void>((done) => {
    resolve = done;
  });
  return { wait, resolve };
}

test("an exclusive section is passed its operation and its keys", async () => {
  const purposes: ExclusivePurpose[] = [];
  class Shared extends Dict {
    protected override _exclusive<T>(
      critical: () => Promise<T>,
      options: OperationOptions,
      purpose: ExclusivePurpose,
    ): Promise<T> {
      purposes.push(purpose);
      return super._exclusive(critical, options, purpose);
    }
  }
  const store = new Shared();
  await store.iset("a/b", new Uint8Array([1]));
  await store.delete(["x", tuple("y", 1)]);
  await store.pop([["x"]]);
  await store.withLock((held) => held.drop());
  await store.drop();
  expect(purposes).toEqual([
    { operation: "iset", keys: ["a%2Fb"] },
    { operation: "delete", keys: ["x", "y/1"] },
    { operation: "pop", keys: ["x"] },
    { operation: "withLock" },
    { operation: "drop" },
  ]);
});

test("a call on the store inside its own withLock is refused, also from deep inside", async () => {
  const store = new Dict();
  const deep = async () => {
    await settle();
    return store.get("x");
  };
  await store.withLock(async (held) => {
    await expect(deep()).rejects.toMatchObject({
      code: "ERR_PARTD_LOCK",
      message: expect.stringMatching(/the store that is passed/),
    });
    await held.append({ x: Uint8Array.of(1) });
  });
  expect(await deep()).toEqual(Uint8Array.of(1));
});

test("a buffer that is transferred while its write waits is refused before any primitive", async () => {
  const store = new Recorded();
  const [appended, set] = [Uint8Array.of(1), Uint8Array.of(2)];
  const calls = Promise.allSettled([store.append({ x: appended }), store.iset("x", set)]);
  for (const { buffer } of [appended, set]) structuredClone(buffer, { transfer: [buffer] });
  for (const outcome of await calls) {
    expect(outcome).toMatchObject({ reason: { code: "ERR_PARTD_VALUE", key: "x" } });
  }
  expect(store.calls).toEqual(["open"]);
});

test("what critical left running is outside once it has ended, also beside another withLock", async () => {
  const store = new Dict();
  let leave = () => {};
  let left: Promise<Uint8Array> | undefined;
  await store.withLock(() => {
    left = new Promise<void>((resolve) => {
      leave = resolve;
    }).then(() => store.get("x"));
  });
  await store.withLock(async (held) => {
    leave();
    await settle();
    await held.append({ x: one });
  });
  expect(await left).toEqual(one);
});

test("what a primitive throws that is not an error of partd's is wrapped", async () => {
  class Broken extends Recorded {
    protected override async _get(): Promise<Uint8Array[]> {
      throw new TypeError("of another kind");
    }
    protected override async _delete(): Promise<void> {
      throw new TypeError("of another kind");
    }
  }
  const store = new Broken();
  for (const call of [store.get("x"), store.delete("x"), store.pop("x")]) {
    await expect(call).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: "The store failed: of another kind",
      cause: expect.any(TypeError),
    });
  }
  const own = new RangeError("the caller's own");
  await expect(store.withLock(() => Promise.reject(own))).rejects.toBe(own);
});

test("what is no signal, no options and no function is refused as such, and changes nothing", async () => {
  const store = new Dict();
  await store.append({ x: new Uint8Array(1) });
  const collect = async (items: AsyncIterable<unknown>) => {
    for await (const _ of items);
  };
  const wrong = [5, "x", {}, new AbortController()].map((none) => ({ signal: none }));
  for (const options of [...wrong, null] as { signal: AbortSignal }[]) {
    for (const operation of [
      () => store.append({ x: new Uint8Array(1) }, options),
      () => store.iset("y", new Uint8Array(1), options),
      () => store.get("x", options),
      () => store.pop("x", options),
      () => store.delete("x", options),
      () => store.drop(options),
      () => store.flush(options),
      () => store.count(options),
      () => store.withLock(() => {}, options),
      () => collect(store.keys(options)),
      () => collect(store.entries(options)),
      () => collect(store.stream("x", options)),
    ]) {
      await expect(operation()).rejects.toMatchObject({
        code: "ERR_PARTD_VALUE",
        message: expect.stringMatching(/signal must be an AbortSignal|takes an object of options/),
      });
    }
  }
  await expect(store.withLock(undefined as never)).rejects.toThrow("withLock takes a function");
  expect(await store.size("x")).toBe(1);
});
