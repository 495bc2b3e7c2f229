import { describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, type OperationOptions } from "@partd/core";
import type { AppendOptions, Batch } from "@partd/core/author";
import { bytes, isPending, read, rest } from "./bytes.js";

type Primitive = "append" | "get" | "stream" | "delete" | "set" | "keys" | "flush" | "drop";

/** A slow store of which one kind of operation stands still, and heeds no signal. */
class Hanging extends Dict {
  hangsIn: Primitive | undefined;
  #release: (() => void)[] = [];

  go(): void {
    this.hangsIn = undefined;
    for (const release of this.#release.splice(0)) release();
  }

  protected override async _append(batch: Batch, options: AppendOptions): Promise<void> {
    await this.#enter("append");
    await super._append(batch, options);
  }
  protected override async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    await this.#enter("get");
    return super._get(keys, {});
  }
  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    await this.#enter("stream");
    return super._stream(key);
  }
  protected override async _delete(keys: readonly string[]): Promise<void> {
    await this.#enter("delete");
    await super._delete(keys);
  }
  protected override async _set(key: string, value: Uint8Array, options: AppendOptions) {
    await this.#enter("set");
    await super._set(key, value, options);
  }
  protected override async _keys(): Promise<Iterable<string>> {
    await this.#enter("keys");
    return super._keys();
  }
  protected override async _flush(options: OperationOptions): Promise<void> {
    await this.#enter("flush");
    await super._flush(options);
  }
  protected override async _drop(): Promise<void> {
    await this.#enter("drop");
    await super._drop();
  }

  async #enter(primitive: Primitive): Promise<void> {
    if (primitive === this.hangsIn) {
      await new Promise<void>((release) => this.#release.push(release));
    }
  }
}

/** `x` is "1" below and "2" in memory, `y` is "a" in memory. */
async function setUp() {
  const slow = new Hanging();
  const store = new BufferStore(new Dict(), slow, { availableMemory: 20_000 });
  await store.append({ x: bytes("1") });
  await store.flush();
  await store.append({ x: bytes("2"), y: bytes("a") });
  return { slow, store };
}

const value = new Uint8Array(50_000).fill(7);

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("a slow store that stands still, and heeds no signal", () => {
  test.each<
    [string, Primitive, (store: BufferStore, signal: AbortSignal) => Promise<unknown>, string]
  >([
    ["get", "get", (store, signal) => store.get("x", { signal }), "12"],
    ["stream", "stream", (store, signal) => rest(store.stream("x", { signal })), "12"],
    ["keys", "keys", (store, signal) => collect(store.keys({ signal })), "12"],
    ["flush", "append", (store, signal) => store.flush({ signal }), "12"],
    ["flush, at its end", "flush", (store, signal) => store.flush({ signal }), "12"],
    ["delete", "delete", (store, signal) => store.delete("x", { signal }), ""],
    ["pop, which reads", "get", (store, signal) => store.pop("x", { signal }), "12"],
    ["pop, which deletes", "delete", (store, signal) => store.pop("x", { signal }), ""],
    ["iset", "set", (store, signal) => store.iset("x", bytes("new"), { signal }), "new"],
    ["big iset", "append", (store, signal) => store.iset("x", value, { signal }), "\x07"],
    ["drop", "drop", (store, signal) => store.drop({ signal }), ""],
    [
      "delete in withLock",
      "delete",
      (store, signal) => store.withLock((held) => held.delete("x", { signal })),
      "",
    ],
  ])("lets %s be given up, and all is whole afterwards", async (_, primitive, operate, x) => {
    const { slow, store } = await setUp();
    slow.hangsIn = primitive;
    const controller = new AbortController();
    const operation = operate(store, controller.signal);
    expect(await isPending(operation)).toBe(true);
    controller.abort(new Error("enough"));
    await expect(operation).rejects.toThrow("enough");
    slow.go();
    const text = await read(store, "x");
    expect(x === "\x07" ? text.slice(0, 1) : text).toBe(x);
    await store.append({ x: bytes("!") });
    await store.flush();
    expect((await read(store, "x")).replaceAll("\x07", "")).toBe(`${x.replace("\x07", "")}!`);
    await store.close();
  });

  test("what comes after a delete that was given up waits for it, or is given up too", async () => {
    const { slow, store } = await setUp();
    slow.hangsIn = "delete";
    const controller = new AbortController();
    const { signal } = controller;
    const deleted = store.delete(["x", "y"], { signal });
    await isPending(deleted);
    controller.abort(new Error("enough"));
    await expect(deleted).rejects.toThrow("enough");
    const impatient = new AbortController();
    const operations: ((signal?: AbortSignal) => Promise<unknown>)[] = [
      (signal) => store.append({ x: bytes("3") }, { signal }),
      (signal) => store.get("x", { signal }),
      (signal) => store.flush({ signal }),
      (signal) => collect(store.keys({ signal })),
      (signal) => store.withLock(async () => {}, { signal }),
    ];
    for (const operate of operations) {
      const operation = operate(impatient.signal);
      expect(await isPending(operation)).toBe(true);
    }
    const given = operations.map((operate) => operate(impatient.signal));
    impatient.abort(new Error("me too"));
    for (const { status } of await Promise.allSettled(given)) expect(status).toBe("rejected");
    const appended = store.append({ x: bytes("4") });
    expect(await isPending(appended)).toBe(true);
    slow.go();
    await appended;
    expect([await read(store, "x"), await read(store, "y")]).toEqual(["4", ""]);
    await store.close();
  });

  test("a big append that is given up takes what was in memory before it down once", async () => {
    const { slow, store } = await setUp();
    slow.hangsIn = "append";
    const controller = new AbortController();
    const { signal } = controller;
    const appended = store.append({ x: value }, { signal });
    expect(await isPending(appended)).toBe(true);
    controller.abort(new Error("enough"));
    await expect(appended).rejects.toThrow("enough");
    slow.go();
    await store.flush();
    expect((await read(store, "x")).replaceAll("\x07", "")).toBe("12");
  });
});

test("a big append is not overtaken for ever by spills of its key", async () => {
  const { slow, store } = await setUp();
  let big: Promise<void> | undefined;
  let done = false;
  slow.hangsIn = "append";
  // The key fills the memory, and is always the largest: whenever a batch lands there is another.
  const appending = (async () => {
    for (let i = 0; i < 400 && !done; i++) await store.append({ x: new Uint8Array(2000).fill(1) });
  })();
  await isPending(appending);
  big = store.append({ x: value }).then(() => {
    done = true;
  });
  for (let i = 0; i < 20 && !done; i++) {
    slow.go();
    slow.hangsIn = "append";
    await isPending(big);
  }
  expect(done).toBe(true);
  slow.go();
  await appending;
  await store.close();
});

test("an append whose buffer is transferred while it waits for room is refused, and is nowhere", async () => {
  const slow = new Hanging();
  slow.hangsIn = "append";
  await using buffer = new BufferStore(new Dict(), slow, { availableMemory: 50_000 });
  const values = [...Array(8).keys()].map(() => new Uint8Array(9_000));
  const appends = values.map((value, i) => buffer.append({ [`k${i}`]: value }));
  const outcomes = Promise.allSettled(appends);
  const last = values.at(-1) as Uint8Array;
  expect(await isPending(appends.at(-1) as Promise<void>)).toBe(true);
  structuredClone(last.buffer, { transfer: [last.buffer] });
  slow.go();
  expect((await outcomes).at(-1)).toMatchObject({
    reason: { code: "ERR_PARTD_VALUE", key: "k7" },
  });
  expect((await outcomes).filter(({ status }) => status === "fulfilled").length).toBe(7);
  expect(await buffer.count()).toBe(7);
});
