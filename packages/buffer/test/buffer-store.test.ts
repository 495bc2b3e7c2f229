import { totalmem } from "node:os";
import process from "node:process";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { BufferStore, type SpillEvent, type WaitEvent } from "@partd/buffer";
import { Snappy } from "@partd/compress-snappy";
import { Dict, type Store } from "@partd/core";
import { type AppendOptions, BaseStore, type Batch } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { memoryLimit } from "../src/memory-limit.js";
import { bytes, isPending, read, turns } from "./bytes.js";
import { GatedStore } from "./gated-store.js";

describe("the bound", () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  function defaultBound(): number {
    return new BufferStore(new Dict(), new Dict()).stats().availableMemory;
  }

  test("is a quarter of the machine's memory by default", () => {
    for (const unlimited of [0, 2 ** 63, 2 ** 64]) {
      jest.spyOn(process, "constrainedMemory").mockReturnValue(unlimited);
      expect(defaultBound()).toBe(Math.floor(totalmem() / 4));
    }
  });

  test("is a quarter of a container's limit by default", () => {
    jest.spyOn(process, "constrainedMemory").mockReturnValue(400_000_000);
    expect(defaultBound()).toBe(100_000_000);
  });

  test("is a share of the device's memory in a browser", () => {
    const navigator = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    try {
      for (const [deviceMemory, limit] of [
        [8, 8 * 2 ** 30],
        [0.5, 2 ** 29],
        [undefined, 2 * 2 ** 30],
      ]) {
        Object.defineProperty(globalThis, "navigator", {
          value: { deviceMemory },
          configurable: true,
        });
        expect(memoryLimit()).toBe(limit);
      }
    } finally {
      if (navigator) Object.defineProperty(globalThis, "navigator", navigator);
      else Reflect.deleteProperty(globalThis, "navigator");
    }
  });

  test("may be a part of a byte more than a whole number", () => {
    const store = new BufferStore(new Dict(), new Dict(), { availableMemory: 1000.5 });
    expect(store.stats().availableMemory).toBe(1000);
  });
});

describe("what a buffer cannot be made of", () => {
  /** Names of what is refused, and of the value, in the message. */
  function refused(make: () => unknown, ...names: string[]): void {
    let error: unknown;
    try {
      make();
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code: "ERR_PARTD_VALUE" });
    for (const name of names) expect((error as Error).message).toContain(name);
  }

  const make = (options: object) => new BufferStore(new Dict(), new Dict(), options);

  test.each([
    [0, "0"],
    [-1, "-1"],
    [0.9, "0"],
    [2 ** 53, "9007199254740992"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [Number.NaN, "NaN"],
    ["1e9", "1e9"],
  ])("availableMemory %p", (availableMemory, name) => {
    refused(() => make({ availableMemory }), "availableMemory", "1 to 9007199254740991", name);
  });

  test.each([0, 1.5, -1, 1025, Number.NaN, "2"])("concurrency %p", (concurrency) => {
    refused(() => make({ concurrency }), "concurrency", "1 to 1024", String(concurrency));
  });

  test.each(["onSpill", "onSpillError", "onWait"])("%s that is not a function", (name) => {
    refused(() => make({ [name]: null }), name, "null");
  });

  test("an option that it does not have", () => {
    const message = "new BufferStore() has no option memory. Did you mean availableMemory?";
    refused(() => make({ memory: 1e6 }), message);
  });

  test("a fast store that cannot be spilled from", () => {
    for (const [fast, name] of [
      [new Snappy(new Dict()), "Snappy"],
      [new FileStore(), "FileStore"],
      [new BufferStore(new Dict(), new Dict()), "BufferStore"],
      [new Map(), "Map"],
      [null, "null"],
      [undefined, "undefined"],
    ] as const) {
      refused(() => new BufferStore(fast as unknown as Dict, new Dict()), "fast", "Dict", name);
    }
  });

  test("a slow store that is none", () => {
    for (const slow of [null, undefined, new Map(), "shuffle"]) {
      refused(() => new BufferStore(new Dict(), slow as unknown as Dict), "slow");
    }
  });

  test("the same store twice, or one that another buffer has", () => {
    const fast = new Dict();
    refused(() => new BufferStore(fast, fast), "two stores");
    void new BufferStore(fast, new Dict());
    refused(() => new BufferStore(fast, new Dict()), "another BufferStore");
  });
});

test("a store that extends Dict can be the fast one", async () => {
  class Mine extends Dict {}
  const store = new BufferStore(new Mine(), new Dict(), { availableMemory: 1e6 });
  await store.append({ x: bytes("1") });
  expect(await read(store, "x")).toBe("1");
});

test("stats and listeners tell of bytes held and spilled, flushes and waits", async () => {
  const slow = new GatedStore();
  const spills: SpillEvent[] = [];
  const waits: WaitEvent[] = [];
  const store = new BufferStore(new Dict(), slow, {
    availableMemory: 20_000,
    onSpill: (event) => spills.push(event),
    onWait: (event) => waits.push(event),
  });
  await store.append({ x: new Uint8Array(1000), y: new Uint8Array(100) });
  expect(store.stats()).toMatchObject({
    availableMemory: 20_000,
    bytesHeld: 1100,
    keysHeld: 2,
    bytesSpilled: 0,
    spills: 0,
    spillErrors: 0,
    flushes: 0,
    waits: 0,
  });
  expect(store.stats().memoryHeld).toBeGreaterThan(1100);
  await store.flush();
  await turns();
  expect(spills).toEqual([{ keys: 2, bytes: 1100, milliseconds: expect.any(Number) }]);
  expect(store.stats()).toMatchObject({
    memoryHeld: 0,
    bytesHeld: 0,
    keysHeld: 0,
    bytesSpilled: 1100,
    spills: 1,
    flushes: 1,
  });
  slow.stop();
  const appends: Promise<void>[] = [];
  for (let i = 0; i < 100; i++) {
    appends.push(store.append({ [`k${i % 5}`]: new Uint8Array(500) }));
  }
  await turns();
  const { spillsInFlight, bytesInFlight, bytesHeld, waiting } = store.stats();
  expect(spillsInFlight).toBe(2);
  expect(bytesInFlight).toBe(500 * Math.round(bytesInFlight / 500));
  expect(bytesInFlight).toBeGreaterThan(0);
  expect(bytesHeld).toBe((100 - waiting) * 500); // What is on its way is held until it has arrived.
  const controller = new AbortController();
  const impatient = store.append({ k0: new Uint8Array(500) }, { signal: controller.signal });
  expect(await isPending(impatient)).toBe(true);
  expect(store.stats().waiting).toBe(waiting + 1);
  controller.abort(new Error("enough"));
  await expect(impatient).rejects.toThrow("enough");
  expect(store.stats().waiting).toBe(waiting);
  slow.go();
  await Promise.all(appends);
  expect(store.stats()).toMatchObject({ waiting: 0, spillsInFlight: 0, bytesInFlight: 0 });
  expect(waits.length).toBeGreaterThan(50);
  expect(store.stats().waits).toBe(waits.length);
  expect(store.stats().waitMilliseconds).toBeGreaterThan(0);
});

test("no more batches are on their way at once than is allowed", async () => {
  let most = 0;
  let now = 0;
  class Counting extends GatedStore {
    protected override async _append(batch: Batch, options: AppendOptions): Promise<void> {
      most = Math.max(most, ++now);
      await turns(2);
      await super._append(batch, options);
      now--;
    }
  }
  for (const concurrency of [1, 3]) {
    most = 0;
    const store = new BufferStore(new Dict(), new Counting(), {
      availableMemory: 50_000,
      concurrency,
    });
    for (let i = 0; i < 2000; i++) await store.append({ [`k${i % 40}`]: new Uint8Array(100) });
    await store.flush();
    expect(most).toBe(concurrency);
  }
});

describe("close", () => {
  test("brings everything to the slow store and closes both", async () => {
    const fast = new Dict();
    const slow = new GatedStore();
    let written = 0;
    slow.onClose = async () => {
      written = slow.byteLength;
    };
    {
      await using store = new BufferStore(fast, slow, { availableMemory: 1e6 });
      await store.append({ x: bytes("1"), y: bytes("22") });
    }
    expect(written).toBe(3);
    expect(slow.closed).toBe(1);
    await expect(slow.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
    await expect(fast.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
  });

  test("closes both stores also if the buffer was never used", async () => {
    const slow = new Dict();
    const store = new BufferStore(new Dict(), slow);
    await store.close();
    await store.close();
    await expect(slow.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
    await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
  });
});

test("arrays that are given away are kept as they are, and the bound with them", async () => {
  const fast = new Dict();
  const slow = new GatedStore();
  const store = new BufferStore(fast, slow, { availableMemory: 4e6 });
  const arrays: Uint8Array[] = [];
  for (let i = 0; i < 40; i++) {
    const array = new Uint8Array(300_000).fill(i);
    arrays.push(array);
    await store.append({ [`k${i % 3}`]: array, x: bytes(`${i};`) }, { owned: i % 4 !== 0 });
    expect(store.stats().memoryHeld).toBeLessThanOrEqual(4e6);
  }
  expect(slow.landed).toBeGreaterThan(2);
  const kept = fast.blocks.views(fast.blocks.get("k0") as number);
  expect(kept.some((view) => arrays.some((array) => array.buffer === view.buffer))).toBe(true);
  const expected = (key: number) => Buffer.concat(arrays.filter((_, i) => i % 3 === key));
  for (const from of [store, slow]) {
    for (const key of [0, 1, 2]) {
      expect(Buffer.compare(await from.get(`k${key}`), expected(key))).toBe(0);
    }
    expect(await read(from, "x")).toBe(arrays.map((_, i) => `${i};`).join(""));
    await store.flush();
  }
  expect(store.stats().memoryHeld).toBe(0);
});

test("what either store held before is part of the buffer", async () => {
  const fast = new Dict();
  const slow = new Dict();
  await slow.append({ x: bytes("1") });
  await fast.append({ x: bytes("2") });
  const store = new BufferStore(fast, slow, { availableMemory: 1e6 });
  expect(await read(store, "x")).toBe("12");
  await store.flush();
  expect(await read(slow, "x")).toBe("12");
});

test("what the fast store held before goes down if the buffer is closed before its first use", async () => {
  const fast = new Dict();
  const slow = new GatedStore();
  let written = 0;
  slow.onClose = async () => {
    written = slow.byteLength;
  };
  await fast.append({ x: bytes("12") });
  await slow.append({ y: bytes("3") });
  await new BufferStore(fast, slow, { availableMemory: 1e6 }).close();
  expect(written).toBe(3);
});

test("compression below the buffer sees each key in few large pieces", async () => {
  const file = new FileStore();
  const frames: number[] = [];
  class Watched extends BaseStore {
    protected async _append(batch: { keys: readonly string[]; values: readonly Uint8Array[] }) {
      for (const value of batch.values) frames.push(value.byteLength);
      await file.append(batch.keys.map((key, i) => [key, batch.values[i] as Uint8Array] as const));
    }
    protected async _get(keys: readonly string[]): Promise<Uint8Array[]> {
      return file.get(keys as string[]);
    }
    protected async _delete(): Promise<void> {}
    protected async _keys(): Promise<Iterable<string>> {
      return [];
    }
    protected override async _close(): Promise<void> {
      await file.close();
    }
  }
  const slow: Store = new Snappy(new Watched());
  await using store = new BufferStore(new Dict(), slow, { availableMemory: 1e8 });
  const line = bytes("the same words again and again\n");
  for (let i = 0; i < 1000; i++) await store.append({ a: line, b: line });
  await store.flush();
  expect(frames.length).toBe(2);
  expect(Math.max(...frames)).toBeLessThan(5000);
  expect((await store.get("a")).byteLength).toBe(31_000);
});

test("a slow store says how large its batches are", async () => {
  class Large extends Dict {
    readonly batchBytes = 300_000;
  }
  const spills: number[] = [];
  await using store = new BufferStore(new Dict(), new Large(), {
    availableMemory: 20e6,
    onSpill: ({ bytes }) => spills.push(bytes),
  });
  for (let i = 0; i < 3_000; i++) await store.append({ [`k${i}`]: new Uint8Array(1_000) });
  await store.flush();
  expect(spills.reduce((sum, bytes) => sum + bytes)).toBe(3_000_000);
  expect(spills.slice(0, -1).every((bytes) => bytes > 290_000 && bytes <= 300_000)).toBe(true);
});

test("a removal asks the slow store for the sizes of many held keys at once, and reads no value", async () => {
  const asked: number[] = [];
  let read = 0;
  class Slow extends Dict {
    protected override _sizes(keys: readonly string[]) {
      asked.push(keys.length);
      return super._sizes(keys);
    }
    protected override _get(keys: readonly string[]) {
      read++;
      return super._get(keys);
    }
    protected override _stream(key: string) {
      read++;
      return super._stream(key);
    }
  }
  const slow = new Slow();
  const keys = Array.from({ length: 3_000 }, (_, i) => `k${i}`);
  await slow.append({ k7: bytes("below") });
  await using store = new BufferStore(new Dict(), slow);
  await store.append(keys.map((key) => [key, bytes("held")] as const));
  expect(await store.size("k7")).toBe(9);
  await store.delete(keys);
  expect(asked).toEqual([1, 1_024, 1_024, 952]);
  expect(read).toBe(0);
  expect(await store.count()).toBe(0);
});
