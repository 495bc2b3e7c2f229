import { tuple } from "@partd/core";
import { concatBytes } from "@partd/core/author";
import { equal, ok } from "../check.js";
import { bytes, collect, read, readStream, type StoreCase, text } from "./store-case.js";

export const streamCases: readonly StoreCase[] = [
  {
    name: "stream gives a key's bytes in order, in pieces that hold something",
    run: async ({ store }) => {
      let expected = "";
      for (let i = 0; i < 50; i++) {
        await store.append({ x: bytes(`piece ${i};`), other: bytes("-") });
        expected += `piece ${i};`;
      }
      const pieces = await collect(store.stream("x"));
      equal(text(concatBytes(pieces)), expected, "x");
      ok(
        pieces.every((piece) => piece.byteLength > 0),
        "no piece should be empty",
      );
      await store.append([[tuple("x", "y"), bytes("tuple")]]);
      equal(await readStream(store, tuple("x", "y")), "tuple", 'tuple("x", "y")');
    },
  },
  {
    name: "stream of a value of 3 MiB equals get",
    run: async ({ store }) => {
      const chunk = new Uint8Array(100_003);
      for (let i = 0; i < chunk.length; i++) chunk[i] = i * 31;
      for (let size = 0; size < 3 << 20; size += chunk.length) {
        await store.append({ x: chunk, small: bytes("s") });
        chunk[0] = size;
      }
      const streamed = concatBytes(await collect(store.stream("x")));
      equal(streamed, await store.get("x"), "x");
    },
  },
  {
    name: "stream gives the value as it stood when the first piece was asked for",
    run: async ({ store }) => {
      const start = new Uint8Array(300_000).fill(1);
      await store.append({ x: start });
      const pieces = store.stream("x")[Symbol.asyncIterator]();
      const first = await pieces.next();
      ok(!first.done, "there should be a piece");
      await store.append({ x: bytes("later"), y: new Uint8Array(300_000).fill(2) });
      const rest = await collect({ [Symbol.asyncIterator]: () => pieces });
      equal(concatBytes([first.value, ...rest]), start, "what was streamed");
      equal((await store.get("x")).byteLength, 300_005, "length of x");
    },
  },
  {
    name: "a stream of which no piece was asked for yet has fixed nothing",
    run: async ({ store }) => {
      await store.append({ x: bytes("1") });
      const pieces = store.stream("x");
      await store.append({ x: bytes("2") });
      equal(text(concatBytes(await collect(pieces))), "12", "x");
    },
  },
  {
    name: "stream goes on to the end of the value when the key is deleted meanwhile",
    run: async ({ store }) => {
      const value = new Uint8Array(2_000_000).map((_, i) => i * 7);
      await store.append({ x: value.subarray(0, 1_000_000) });
      await store.append({ x: value.subarray(1_000_000) });
      const pieces = store.stream("x")[Symbol.asyncIterator]();
      const first = await pieces.next();
      ok(!first.done, "there should be a piece");
      await store.delete("x");
      await store.append({ y: new Uint8Array(2_000_000).fill(255), x: bytes("new") });
      const rest = await collect({ [Symbol.asyncIterator]: () => pieces });
      equal(concatBytes([first.value, ...rest]), value, "what was streamed");
      equal(await read(store, "x"), "new", "x");
    },
  },
  {
    name: "a stream may be left early, or never begun, and the store goes on",
    run: async ({ store }) => {
      await store.append({ x: new Uint8Array(200_000).fill(1) });
      await store.append({ x: new Uint8Array(200_000).fill(2) });
      for await (const _ of store.stream("x")) break;
      store.stream("x");
      const abandoned = store.stream("x")[Symbol.asyncIterator]();
      await abandoned.next();
      await store.append({ x: bytes("1") });
      await store.delete("x");
      await store.withLock((held) => held.append({ x: bytes("2") }));
      equal(await read(store, "x"), "2", "x");
      await store.close(); // It closes although a stream is unfinished.
    },
  },
  {
    name: "many streams of one key run at once, at different speeds",
    run: async ({ store }) => {
      for (let i = 0; i < 20; i++) await store.append({ x: new Uint8Array(10_000).fill(i) });
      const whole = await store.get("x");
      const [slow, ...fast] = Array.from({ length: 5 }, () =>
        store.stream("x")[Symbol.asyncIterator](),
      );
      const first = await slow!.next();
      ok(!first.done, "there should be a piece");
      for (const stream of fast) {
        const pieces = await collect({ [Symbol.asyncIterator]: () => stream });
        equal(concatBytes(pieces), whole, "a fast stream");
      }
      await store.drop();
      const rest = await collect({ [Symbol.asyncIterator]: () => slow! });
      equal(concatBytes([first.value, ...rest]), whole, "the slow stream, after drop");
    },
  },
];
