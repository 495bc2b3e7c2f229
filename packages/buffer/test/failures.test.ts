import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, PartdError, type Store } from "@partd/core";
import type { AppendOptions, Batch } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { bytes, isPending, read, turns } from "./bytes.js";
import { GatedStore } from "./gated-store.js";

function setUp(availableMemory: number) {
  const slow = new GatedStore();
  const errors: unknown[] = [];
  const onSpillError = ({ error }: { error: unknown }) => errors.push(error);
  const store = new BufferStore(new Dict(), slow, { availableMemory, onSpillError });
  return { slow, store, errors };
}

const noSpace = new PartdError("ERR_PARTD_IO", "No space left.");

/** Appends to 30 keys in turn until an append is refused. Answers what every key then holds. */
async function appendUntilRefused(
  store: BufferStore,
  error: unknown,
): Promise<Map<string, string>> {
  const model = new Map<string, string>();
  for (let i = 0; ; i++) {
    if (i === 100_000) throw new Error("No append was ever refused.");
    const key = `k${i % 30}`;
    const piece = `<${i}>`;
    try {
      await store.append({ [key]: bytes(piece) });
    } catch (caught) {
      expect(caught).toBe(error);
      return model;
    }
    model.set(key, (model.get(key) ?? "") + piece);
  }
}

async function expectHolds(store: BufferStore | Dict, model: Map<string, string>): Promise<void> {
  const keys = [...model.keys()];
  const values = await store.get(keys);
  expect(values.map((value) => new TextDecoder().decode(value))).toEqual([...model.values()]);
}

describe("a slow store that fails", () => {
  test("loses nothing: the append that must wait and the flush are told, a later flush succeeds", async () => {
    const { slow, store, errors } = setUp(20_000);
    slow.refuse = noSpace;
    const model = await appendUntilRefused(store, noSpace);
    expect(store.stats().memoryHeld).toBeGreaterThan(10_000);
    expect(store.stats().memoryHeld).toBeLessThanOrEqual(20_000);
    await expectHolds(store, model);
    await expect(store.flush()).rejects.toBe(noSpace);
    await expectHolds(store, model);
    expect(errors.length).toBeGreaterThan(1);
    expect(store.stats().spillErrors).toBe(errors.length);
    slow.refuse = undefined;
    await store.flush();
    await expectHolds(slow, model);
    await expectHolds(store, model);
    expect(store.stats().bytesHeld).toBe(0);
  });

  test("is tried again when an append has to wait", async () => {
    const { slow, store } = setUp(20_000);
    slow.refuse = noSpace;
    const model = await appendUntilRefused(store, noSpace);
    slow.refuse = undefined;
    await store.append({ k0: bytes("!") });
    model.set("k0", `${model.get("k0")}!`);
    await expectHolds(store, model);
  });

  test("keeps a buffer from closing, which can be tried again", async () => {
    const { slow, store } = setUp(20_000);
    await store.append({ x: bytes("1") });
    slow.refuse = noSpace;
    const refused = store.close();
    await expect(refused).rejects.toMatchObject({ code: "ERR_PARTD_IO", cause: noSpace });
    await expect(refused).rejects.toThrow("1 byte of 1 key;");
    expect(slow.closed).toBe(0);
    await store.append({ x: bytes("2") });
    slow.refuse = undefined;
    let written = "";
    slow.onClose = async () => {
      written = new TextDecoder().decode(slow.blocks.copy(slow.blocks.get("x") as number));
    };
    await store.close();
    expect(written).toBe("12");
    expect(slow.closed).toBe(1);
  });

  test.each([FileStore, LogStore])(
    "of %p whose directory was moved: close says what is not written, and goes on once it is back",
    async (SlowStore) => {
      const root = mkdtempSync(join(tmpdir(), "buffer-test-"));
      const [path, away] = [join(root, "there"), join(root, "away")];
      const slow = new SlowStore(path, { lockTimeoutMs: 1000 });
      const store = new BufferStore(new Dict(), slow);
      await store.append({ x: bytes("1") });
      await store.flush();
      await store.append({ x: bytes("2"), y: bytes("34") });
      renameSync(path, away);
      for (let call = 0; call < 2; call++) {
        const refused = store.close();
        await expect(refused).rejects.toMatchObject({ code: "ERR_PARTD_IO", path });
        await expect(refused).rejects.toThrow(/was moved .* not written, are 3 bytes of 2 keys;/);
      }
      renameSync(away, path);
      await store.close();
      await store.close();
      await using written = new SlowStore(path);
      expect((await written.get(["x", "y"])).map(String)).toEqual(["49,50", "51,52"]);
      rmSync(root, { recursive: true });
    },
  );

  test("refuses a value that is larger than the buffer, and nothing of its batch is there", async () => {
    const { slow, store } = setUp(20_000);
    await store.append({ x: bytes("1"), y: bytes("a") });
    slow.refuse = noSpace;
    const big = { x: new Uint8Array(50_000), y: bytes("b") };
    await expect(store.append(big)).rejects.toBe(noSpace);
    expect([await read(store, "x"), await read(store, "y")]).toEqual(["1", "a"]);
    slow.refuse = undefined;
    await store.append(big);
    expect((await store.get("x")).byteLength).toBe(50_001);
    expect(await read(slow, "y")).toBe("ab");
  });

  test("may have the bytes twice after an unknown outcome, and the next flush tells", async () => {
    const { slow, store } = setUp(20_000);
    const lost = new PartdError("ERR_PARTD_CONNECTION", "The connection broke.");
    slow.stopAfterLanding();
    for (let i = 0; store.stats().spillsInFlight === 0; i++) {
      await store.append({ [`k${i % 30}`]: new Uint8Array(50) });
    }
    slow.refuse = lost; // Landed, but the answer never comes.
    slow.go();
    await turns();
    expect(store.stats().spillErrors).toBeGreaterThan(0);
    slow.refuse = undefined;
    const told = await store.flush().catch((error: unknown) => error);
    expect(told).toMatchObject({ code: "ERR_PARTD_CONNECTION", cause: lost });
    expect(store.stats().bytesHeld).toBe(0);
    await store.flush();
    await store.close();
  });
});

test("a big append that is given up, and whose outcome no one learns, is told by the next flush", async () => {
  const { slow, store } = setUp(20_000);
  const lost = new PartdError("ERR_PARTD_CONNECTION", "The connection broke.");
  await store.append({ x: bytes("1") });
  slow.stopAfterLanding();
  const controller = new AbortController();
  const appended = store.append({ x: new Uint8Array(50_000) }, { signal: controller.signal });
  await slow.until(1);
  controller.abort(new Error("enough"));
  await expect(appended).rejects.toThrow("enough");
  slow.refuse = lost;
  slow.go();
  await turns();
  slow.refuse = undefined;
  await expect(store.flush()).rejects.toMatchObject({ code: "ERR_PARTD_CONNECTION", cause: lost });
  await store.flush();
  await store.close();
});

test("after a drop there is nothing to be there twice, and no flush tells of it", async () => {
  const { slow, store } = setUp(20_000);
  slow.refuse = new PartdError("ERR_PARTD_CONNECTION", "The connection broke.");
  for (let i = 0; store.stats().spillErrors === 0; i++) {
    await store.append({ [`k${i % 30}`]: new Uint8Array(50) });
    await turns(1);
  }
  slow.refuse = undefined;
  await store.drop();
  await store.append({ x: bytes("1") });
  await store.flush();
  expect(await read(slow, "x")).toBe("1");
});

describe("a slow store that fails in the middle of a removal", () => {
  /** Removes one key or none before it fails, and may not tell then what is left. */
  class Halfway extends GatedStore {
    removed = 1;
    becomesMute = false;
    isMute = false;

    protected override async _delete(keys: readonly string[]): Promise<void> {
      await super._delete(keys.slice(0, this.removed));
      if (this.refuse !== undefined) this.#fail();
      await super._delete(keys);
    }

    protected override async _drop(): Promise<void> {
      if (this.refuse !== undefined) {
        await super._delete(["x"].slice(0, this.removed));
        this.#fail();
      }
      await super._drop();
    }

    protected override async _sizes(keys: readonly string[]): Promise<number[]> {
      if (this.isMute) throw noSpace;
      return (await super._get(keys, {})).map(({ byteLength }) => byteLength);
    }

    protected override async _count(): Promise<number> {
      if (this.isMute) throw noSpace;
      return [...(await super._keys())].length;
    }

    #fail(): never {
      this.isMute = this.becomesMute;
      throw this.refuse;
    }
  }

  const KEYS = ["x", "y", "z", "below"];
  const valuesOf = (store: Store) => Promise.all(KEYS.map((key) => read(store, key)));

  async function setUpHalfway() {
    const slow = new Halfway();
    const store = new BufferStore(new Dict(), slow, { availableMemory: 20_000 });
    for (const key of ["x", "y", "below"]) await store.iset(key, bytes("1"));
    await store.append({ x: bytes("2"), y: bytes("2"), z: bytes("2") });
    return { slow, store };
  }

  const removals: readonly [string, (store: Store) => Promise<unknown>, string][] = [
    ["delete", (store) => store.delete(KEYS), "2"],
    ["pop", (store) => store.pop(KEYS), "2"],
    ["delete in withLock", (store) => store.withLock((held) => held.delete(KEYS)), "2"],
    ["pop in withLock", (store) => store.withLock((held) => held.pop(KEYS)), "2"],
    ["drop", (store) => store.drop(), ""], // What is only in memory goes with the rest.
  ];

  test.each(removals)(
    "%s: each key is whole or gone, iset sets again, and the next one has all gone",
    async (_, remove, onlyInMemory) => {
      const { slow, store } = await setUpHalfway();
      slow.refuse = noSpace;
      await expect(remove(store)).rejects.toBe(noSpace);
      expect(await valuesOf(store)).toEqual(["", "12", onlyInMemory, "1"]);
      slow.refuse = undefined;
      for (const key of ["x", "y"]) await store.iset(key, bytes("3"));
      expect(await Promise.all(["x", "y"].map((key) => read(store, key)))).toEqual(["3", "3"]);
      await remove(store);
      expect(await valuesOf(store)).toEqual(["", "", "", ""]);
      await store.flush();
      expect(await valuesOf(slow)).toEqual(["", "", "", ""]);
    },
  );

  test.each(removals)(
    "%s, and cannot tell what is left: nothing more is done until it can",
    async (_, remove, onlyInMemory) => {
      const { slow, store } = await setUpHalfway();
      slow.becomesMute = true;
      slow.refuse = noSpace;
      await expect(remove(store)).rejects.toBe(noSpace);
      slow.refuse = undefined;
      const outcomes = await Promise.allSettled([
        store.append({ x: bytes("3") }),
        store.get("x"),
        store.flush(),
        store.delete("y"),
      ]);
      for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: noSpace });
      await expect(store.close()).rejects.toMatchObject({ cause: noSpace });
      expect(await read(slow, "y")).toBe("1");
      slow.isMute = false;
      await store.append({ y: bytes("3") });
      expect(await valuesOf(store)).toEqual(["", "123", onlyInMemory, "1"]);
      await store.close();
    },
  );

  test.each(removals)("%s at its very beginning: all is as it was", async (_, remove) => {
    const { slow, store } = await setUpHalfway();
    slow.removed = 0;
    slow.refuse = noSpace;
    await expect(remove(store)).rejects.toBe(noSpace);
    expect(await valuesOf(store)).toEqual(["12", "12", "2", "1"]);
  });
});

describe("a slow store that hangs", () => {
  test("stops appends at the bound; a signal gets them out, and the rest arrives in the end", async () => {
    const { slow, store } = setUp(20_000);
    slow.stop();
    const appends: Promise<void>[] = [];
    const controller = new AbortController();
    const { signal } = controller;
    const piece = (i: number) => `<${i}>`.padEnd(50);
    for (let i = 0; i < 1000; i++) {
      appends.push(store.append({ [`k${i % 30}`]: bytes(piece(i)) }, { signal }));
      if (i % 10 === 0) await turns(1);
    }
    const pending = await Promise.all(appends.map((append) => isPending(append)));
    const waiting = pending.filter(Boolean).length;
    expect(waiting).toBeGreaterThan(100);
    expect(store.stats().memoryHeld).toBeLessThanOrEqual(20_000);
    controller.abort(new Error("enough"));
    const outcomes = await Promise.allSettled(appends);
    expect(outcomes.filter(({ status }) => status === "rejected").length).toBe(waiting);
    expect(store.stats().waits).toBe(waiting);
    slow.go();
    await store.flush();
    for (let key = 0; key < 30; key++) {
      const expected = outcomes
        .map(({ status }, i) => (status === "fulfilled" && i % 30 === key ? piece(i) : ""))
        .join("");
      expect(await read(store, `k${key}`)).toBe(expected);
    }
  });

  test("lets a big append, a flush, a delete and a lock be given up", async () => {
    const { slow, store } = setUp(20_000);
    await store.append({ x: bytes("1") });
    slow.stop();
    const operations = [
      (signal: AbortSignal) => store.append({ x: new Uint8Array(50_000) }, { signal }),
      (signal: AbortSignal) => store.flush({ signal }),
      (signal: AbortSignal) => store.delete("x", { signal }),
      (signal: AbortSignal) => store.withLock(async () => {}, { signal }),
    ];
    for (const operate of operations) {
      const controller = new AbortController();
      const operation = operate(controller.signal);
      expect(await isPending(operation)).toBe(true);
      controller.abort(new Error("enough"));
      await expect(operation).rejects.toThrow("enough");
    }
    slow.go();
    await store.flush();
    expect((await store.get("x"))[0]).toBe(bytes("1")[0]);
  });
});

test("memory that a refused batch was laid into is not written again: it may be on its way still", async () => {
  const batches: ArrayBufferLike[][] = [];
  class Watched extends GatedStore {
    protected override async _append(batch: Batch, options: AppendOptions): Promise<void> {
      batches.push(batch.values.map(({ buffer }) => buffer));
      if (batches.length === 2) throw noSpace;
      await super._append(batch, options);
    }
  }
  const slow = new Watched();
  const store = new BufferStore(new Dict(), slow, { availableMemory: 1e6 });
  for (let i = 0; i < 1000; i++) await store.append({ [`k${i % 20}`]: bytes("1".repeat(100)) });
  slow.stop(); // The first batch is on its way until the end, the second is refused.
  await expect(store.flush()).rejects.toBe(noSpace);
  const flushed = store.flush();
  await slow.until(2);
  slow.go();
  await flushed;
  const [, refused, ...later] = batches;
  expect(later.flat().some((buffer) => refused?.includes(buffer))).toBe(false);
});
