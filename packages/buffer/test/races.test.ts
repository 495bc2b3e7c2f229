import { AsyncResource } from "node:async_hooks";
import { describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, type Store } from "@partd/core";
import type { GetOptions } from "@partd/core/author";
import { bytes, isPending, read, rest, turns } from "./bytes.js";
import { GatedStore } from "./gated-store.js";

function setUp(availableMemory = 1e6) {
  const slow = new GatedStore();
  return { slow, store: new BufferStore(new Dict(), slow, { availableMemory }) };
}

async function keysOf(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.keys()) keys.push(String(key));
  return keys.sort();
}

/** Both moments of an append to the slow store: its bytes are not there yet, or are there already. */
const moments = [
  ["before it lands", (slow: GatedStore) => slow.stop()],
  ["after it landed", (slow: GatedStore) => slow.stopAfterLanding()],
] as const;

for (const [moment, stop] of moments) {
  describe(`while a batch is on its way, ${moment}`, () => {
    /** `x` is "1" in the slow store and "2" on its way there; `y` and the end of `x` are in memory. */
    async function setUpFlight() {
      const { slow, store } = setUp();
      await store.append({ x: bytes("1") });
      await store.flush();
      await store.append({ x: bytes("2") });
      stop(slow);
      const flushed = store.flush();
      await slow.until(2);
      await store.append({ x: bytes("3"), y: bytes("a") });
      return { slow, store, flushed };
    }

    test("get has each byte once", async () => {
      const { slow, store, flushed } = await setUpFlight();
      const got = read(store, "x");
      expect(await isPending(got)).toBe(true); // No one can know yet what the slow store has.
      slow.go();
      expect(await got).toBe("123");
      await flushed;
      expect(await read(store, "x")).toBe("123");
    });

    test("get of other keys does not wait", async () => {
      const { slow, store, flushed } = await setUpFlight();
      expect(await read(store, "y")).toBe("a");
      slow.go();
      await flushed;
    });

    test("get has each byte once if the batch fails", async () => {
      const { slow, store, flushed } = await setUpFlight();
      if (slow.landed > 1) {
        slow.go(); // What landed does not fail.
        return flushed;
      }
      const got = read(store, "x");
      slow.refuse = new Error("no");
      slow.go();
      await expect(flushed).rejects.toThrow("no");
      expect(await got).toBe("123");
    });

    test("stream has each byte once", async () => {
      const { slow, store, flushed } = await setUpFlight();
      const streamed = rest(store.stream("x"));
      expect(await isPending(streamed)).toBe(true);
      slow.go();
      expect(await streamed).toBe("123");
      await flushed;
    });

    test("a get that waits can be given up", async () => {
      const { slow, store, flushed } = await setUpFlight();
      const controller = new AbortController();
      const got = store.get("x", { signal: controller.signal });
      await turns();
      controller.abort(new Error("enough"));
      await expect(got).rejects.toThrow("enough");
      slow.go();
      await flushed;
    });

    test("keys names each key once", async () => {
      const { slow, store, flushed } = await setUpFlight();
      expect(await keysOf(store)).toEqual(["x", "y"]);
      slow.go();
      await flushed;
      expect(await keysOf(store)).toEqual(["x", "y"]);
    });

    test.each<[string, (store: Store) => Promise<unknown>, unknown, string, string]>([
      ["delete", (store) => store.delete("x"), undefined, "", "a"],
      ["pop", (store) => store.pop("x"), bytes("123"), "", "a"],
      ["iset", (store) => store.iset("x", bytes("new")), undefined, "new", "a"],
      ["drop", (store) => store.drop(), undefined, "", ""],
      [
        "withLock",
        (store) =>
          store.withLock(async (held) => {
            const before = await read(held, "x");
            await held.delete("x");
            await held.append({ x: bytes("4") });
            await held.flush();
            return before;
          }),
        "123",
        "4",
        "a",
      ],
    ])("%s waits for it and is right", async (_, operate, answer, x, y) => {
      const { slow, store, flushed } = await setUpFlight();
      const operated = operate(store);
      expect(await isPending(operated)).toBe(true);
      slow.go();
      await flushed;
      expect(await operated).toEqual(answer);
      expect([await read(store, "x"), await read(store, "y")]).toEqual([x, y]);
      await store.flush();
      expect([await read(store, "x"), await read(store, "y")]).toEqual([x, y]);
      expect([await read(slow, "x"), await read(slow, "y")]).toEqual([x, y]);
    });
  });
}

test("a key keeps its order while it is spilled again and again", async () => {
  const { slow, store } = setUp(20_000);
  let expected = "";
  for (let i = 0; i < 3000; i++) {
    const piece = `<${i}>`;
    expected += piece;
    await store.append({ x: bytes(piece), [`y${i % 50}`]: bytes(piece) });
  }
  expect(slow.landed).toBeGreaterThan(5);
  expect(await read(store, "x")).toBe(expected);
  await store.flush();
  expect(await read(slow, "x")).toBe(expected);
});

test("one key that is larger than a batch arrives in parts and in order", async () => {
  const { slow, store } = setUp(1 << 20);
  const value = new Uint8Array(400_000).map((_, i) => i % 251);
  await store.append({ x: value });
  await store.append({ x: value });
  await store.flush();
  expect(slow.landed).toBeGreaterThan(5);
  expect(Buffer.compare(await slow.get("x"), Buffer.concat([value, value]))).toBe(0);
});

test("the largest keys go first", async () => {
  const { slow, store } = setUp(220_000);
  const sizes = new Map<string, number>();
  for (let i = 0; i < 100; i++) sizes.set(`k${i}`, 10 + ((i * 37) % 100) * 10);
  for (const [key, size] of sizes) await store.append({ [key]: new Uint8Array(size) });
  expect(slow.begun).toBe(0);
  // Beyond the mark, so that a part of them goes.
  for (let i = 0; slow.begun === 0; i++) await store.append({ [`tiny${i}`]: new Uint8Array(1) });
  await turns();
  const spilled = new Set(slow.batches.flat().map(({ key }) => key));
  expect(spilled.size).toBeGreaterThan(1);
  expect(spilled.size).toBeLessThan(90);
  const smallest = Math.min(...[...spilled].map((key) => sizes.get(key) as number));
  const left = [...sizes].filter(([key]) => !spilled.has(key)).map(([, size]) => size);
  expect(Math.max(...left)).toBeLessThan(1.25 * smallest);
});

test("a stream is what the key held when it was opened, whatever happens to the key then", async () => {
  const { slow, store } = setUp();
  await store.append({ x: bytes("1") });
  await store.flush();
  await store.append({ x: bytes("2") });
  await store.append({ x: bytes("3".repeat(5000)) });
  const pieces = store.stream("x")[Symbol.asyncIterator]();
  const first = await pieces.next();
  await store.flush();
  await store.append({ x: bytes("4") });
  await store.delete("x");
  await store.append({ x: bytes("5".repeat(8000)) });
  const text = new TextDecoder().decode(first.value as Uint8Array);
  expect(text + (await rest({ [Symbol.asyncIterator]: () => pieces }))).toBe(
    `12${"3".repeat(5000)}`,
  );
  expect(await read(store, "x")).toBe("5".repeat(8000));
  expect(await read(slow, "x")).toBe("");
});

test("a stream that is read while its reader appends does not hold up the appends", async () => {
  const { store } = setUp(40_000);
  for (let i = 0; i < 100; i++) await store.append({ x: new Uint8Array(200).fill(i) });
  let got = 0;
  for await (const piece of store.stream("x")) {
    got += piece.byteLength;
    for (let i = 0; i < 100; i++) await store.append({ y: piece.slice(0, 200) });
  }
  expect(got).toBe(20_000);
});

test("in withLock an append that needs room has it made through the lock", async () => {
  const { slow, store } = setUp(20_000);
  await store.append({ x: bytes("1") });
  let other: Promise<Uint8Array> | undefined;
  const another = new AsyncResource("another caller");
  await store.withLock(async (held) => {
    other = another.runInAsyncScope(() => slow.get("x")); // Waits: the slow store is locked.
    for (let i = 0; i < 100; i++) await held.append({ x: new Uint8Array(1000).fill(50) });
    expect(await isPending(other)).toBe(true);
    expect(slow.landed).toBeGreaterThan(1);
  });
  await other;
  expect(await read(store, "x")).toBe(`1${"2".repeat(100_000)}`);
});

test("reads that never cease do not keep a key from being spilled", async () => {
  const { slow, store } = setUp(4000);
  let reading = true;
  const readOn = async () => {
    while (reading) expect((await store.get("x")).every((byte) => byte === 7)).toBe(true);
  };
  const readers = [readOn(), readOn(), readOn()];
  for (let i = 0; i < 200; i++) await store.append({ x: new Uint8Array(300).fill(7) });
  reading = false;
  await Promise.all(readers);
  expect((await store.get("x")).byteLength).toBe(60_000);
  expect(slow.landed).toBeGreaterThan(10);
});

test("flush brings what was appended before it, though appends go on", async () => {
  const { slow, store } = setUp();
  await store.append({ x: bytes("1"), y: bytes("a") });
  let appending = true;
  const appendOn = async () => {
    while (appending) {
      await store.append({ x: bytes("2"), [`z${Math.random()}`]: bytes("b") });
      await turns(1);
    }
  };
  const appender = appendOn();
  await turns();
  await store.flush();
  expect(await read(slow, "x")).toMatch(/^12/);
  expect(await read(slow, "y")).toBe("a");
  appending = false;
  await appender;
});

test("while everything is being read, appends do not look through it each time", async () => {
  const { promise: opened, resolve: open } = gate();
  class SlowToRead extends Dict {
    protected override async _get(keys: readonly string[], options: GetOptions) {
      await opened;
      return super._get(keys, options);
    }
  }
  const fast = new Dict();
  let looks = 0;
  const isHeld = fast.blocks.isHeld.bind(fast.blocks);
  fast.blocks.isHeld = (value) => {
    looks++;
    return isHeld(value);
  };
  const store = new BufferStore(fast, new SlowToRead(), { availableMemory: 1e6 });
  const keys = Array.from({ length: 500 }, (_, i) => `k${i}`);
  const append = (i: number) => store.append([[keys[i % 500] as string, new Uint8Array(100)]]);
  for (let i = 0; i < 2500; i++) await append(i);
  const got = store.get(keys);
  await turns();
  const appended: Promise<void>[] = [];
  for (let i = 2500; i < 10_000; i++) appended.push(append(i));
  expect(await isPending(Promise.all(appended))).toBe(true); // The bound is kept.
  expect(looks).toBeLessThan(20 * 500);
  open();
  expect((await got).map((value) => value.byteLength)).toEqual(keys.map(() => 500));
  await Promise.all(appended);
  expect((await store.get(keys)).map((value) => value.byteLength)).toEqual(keys.map(() => 2000));
});

test("what is being read is not looked at again whenever a read ends", async () => {
  const gates: (() => void)[] = [];
  class SlowToRead extends Dict {
    protected override async _get(keys: readonly string[], options: GetOptions) {
      await new Promise<void>((open) => gates.push(open));
      return super._get(keys, options);
    }
  }
  const fast = new Dict();
  let looks = 0;
  const keyOf = fast.blocks.key.bind(fast.blocks);
  fast.blocks.key = (value) => {
    looks++;
    return keyOf(value);
  };
  const store = new BufferStore(fast, new SlowToRead(), { availableMemory: 1e7 });
  const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`);
  await store.append(keys.map((key) => [key, new Uint8Array(100)] as const));
  const reads = Array.from({ length: 200 }, (_, i) => store.get(keys.slice(i * 50, i * 50 + 50)));
  await turns();
  const flushed = store.flush();
  await turns();
  expect(store.stats().spills).toBe(0);
  for (const open of gates) {
    open();
    await turns(1);
  }
  const values = (await Promise.all(reads)).flat();
  expect(values.every((value) => value.byteLength === 100)).toBe(true);
  await flushed;
  expect(store.stats()).toMatchObject({ bytesHeld: 0, bytesSpilled: 1_000_000 });
  expect(looks).toBeLessThan(10 * keys.length); // Ten looks at a key, however many reads there are.
});

test.each<[string, (store: Store) => Promise<unknown>]>([
  ["keys", (store) => keysOf(store)],
  ["delete", async (store) => store.delete(await keysOf(store))],
  ["drop", (store) => store.drop()],
])("%s of very many keys lets other work run", async (_, operate) => {
  class Nothing extends Dict {
    protected override async _keys(): Promise<Iterable<string>> {
      return [];
    }
    protected override async _delete(): Promise<void> {}
    protected override async _drop(): Promise<void> {}
  }
  const store = new BufferStore(new Dict(), new Nothing(), { availableMemory: 1e9 });
  const keys = Array.from({ length: 200_000 }, (_, i) => `k${i}`);
  await store.append(keys.map((key) => [key, new Uint8Array(1)] as const));
  await turns();
  let ticks = 0;
  let working = true;
  const tick = () => {
    ticks++;
    if (working) setImmediate(tick);
  };
  setImmediate(tick);
  await operate(store);
  working = false;
  expect(ticks).toBeGreaterThan(1);
});

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}
