import { type Entries, isPartdError, type Key, tuple } from "@partd/core";
import { equal, ok, rejection, rejects, show } from "../check.js";
import { anotherCaller, bytes, collect, read, type StoreCase, text } from "./store-case.js";

export const appendCases: readonly StoreCase[] = [
  {
    name: "append takes an object",
    run: async ({ store }) => {
      await store.append({ x: bytes("1"), y: bytes("2") });
      equal([await read(store, "x"), await read(store, "y")], ["1", "2"], "x and y");
    },
  },
  {
    name: "append takes an object without a prototype, and own entries only",
    run: async ({ store }) => {
      const inherited = { inherited: bytes("no") };
      await store.append(
        Object.assign(Object.create(inherited) as Record<string, Uint8Array>, { own: bytes("1") }),
      );
      await store.append(
        Object.assign(Object.create(null) as Record<string, Uint8Array>, { bare: bytes("2") }),
      );
      await store.append(Object.fromEntries([["__proto__", bytes("3")]]));
      equal(await read(store, "own"), "1", "own");
      equal(await read(store, "inherited"), "", "inherited");
      equal(await read(store, "bare"), "2", "bare");
      equal(await read(store, "__proto__"), "3", "__proto__");
    },
  },
  {
    name: "append takes a Map, whose keys may be tuples",
    run: async ({ store }) => {
      await store.append(
        new Map<Key, Uint8Array>([
          ["x", bytes("1")],
          [tuple("x", "y"), bytes("2")],
        ]),
      );
      equal(await read(store, "x"), "1", "x");
      equal(await read(store, tuple("x", "y")), "2", 'tuple("x", "y")');
    },
  },
  {
    name: "append takes any iterable of pairs, once",
    run: async ({ store }) => {
      let runs = 0;
      await store.append(
        (function* (): Generator<readonly [Key, Uint8Array]> {
          runs++;
          yield ["x", bytes("1")];
          yield ["y", bytes("2")];
        })(),
      );
      await store.append([["x", bytes("3")]]);
      equal(runs, 1, "runs of the generator");
      equal(await read(store, "x"), "13", "x");
    },
  },
  {
    name: "append adds to the end of a key's value",
    run: async ({ store }) => {
      for (const piece of ["a", "bc", "", "def"]) await store.append({ x: bytes(piece) });
      equal(await read(store, "x"), "abcdef", "x");
    },
  },
  {
    name: "a key may occur several times in one append",
    run: async ({ store }) => {
      await store.append([
        ["x", bytes("1")],
        ["y", bytes("-")],
        ["x", bytes("2")],
        ["x", bytes("3")],
      ]);
      equal(await read(store, "x"), "123", "x");
      equal(await read(store, "y"), "-", "y");
    },
  },
  {
    name: "appending nothing, and empty values, leave no trace",
    run: async ({ store }) => {
      await store.append({});
      await store.append([]);
      await store.append({ x: new Uint8Array(0), y: new Uint8Array(0) });
      equal(await collect(store.keys()), [], "keys");
      equal(await read(store, "x"), "", "x");
      await store.append({ x: bytes("1") });
      await store.append({ x: new Uint8Array(0) });
      equal(await read(store, "x"), "1", "x");
    },
  },
  {
    name: "append takes views of larger buffers, Buffers and shared memory",
    run: async ({ store }) => {
      const large = bytes("0123456789");
      await store.append({ view: large.subarray(3, 6) });
      equal(await read(store, "view"), "345", "a view");
      const shared = new Uint8Array(new SharedArrayBuffer(4)).subarray(1, 3);
      shared.set(bytes("ok"));
      await store.append({ shared });
      equal(await read(store, "shared"), "ok", "a view of shared memory");
      class Subclass extends Uint8Array {}
      await store.append({ subclass: Subclass.from(bytes("sub")) });
      equal(await read(store, "subclass"), "sub", "a subclass");
      for (const Memory of [ArrayBuffer, SharedArrayBuffer] as Growable[]) {
        const growable = new Uint8Array(new Memory(4, { maxByteLength: 8 }));
        growable.set(bytes("grow"));
        await store.append({ growable });
      }
      equal(await read(store, "growable"), "growgrow", "views of memory that can grow");
    },
  },
  {
    name: "append reads its entries at once: what is done to their list later changes nothing",
    run: async ({ store }) => {
      const list: [Key, Uint8Array][] = [
        ["x", bytes("1")],
        ["y", bytes("2")],
      ];
      const map = new Map<Key, Uint8Array>([["m", bytes("3")]]);
      const object: Record<string, Uint8Array> = { o: bytes("4") };
      let waiting: Promise<void>[] = [];
      const another = anotherCaller();
      await store.withLock(() => {
        waiting = another(() => [store.append(list), store.append(map), store.append(object)]);
        for (const append of waiting) append.catch(() => {}); // Awaited below.
        list[1] = ["later", bytes("!")];
        list.push(["later", bytes("!")]);
        map.clear();
        map.set("later", bytes("!"));
        object.o = bytes("!");
        object.later = bytes("!");
      });
      await Promise.all(waiting);
      equal((await collect(store.keys())).sort(), ["m", "o", "x", "y"], "keys");
      equal((await store.get(["x", "y", "m", "o"])).map(text), ["1", "2", "3", "4"], "values");
    },
  },
  {
    name: "a buffer may be changed as soon as its append has resolved",
    run: async ({ store }) => {
      const buffer = bytes("first");
      await store.append({ x: buffer });
      buffer.set(bytes("later"));
      await store.append({ x: buffer });
      buffer.fill(0);
      equal(await read(store, "x"), "firstlater", "x");
      await store.flush();
      equal(await read(store, "x"), "firstlater", "x after flush");
      const large = new Uint8Array(2 ** 20).fill(1);
      await store.append({ large });
      large.fill(2);
      await store.append({ large: large.subarray(1) });
      large.fill(3);
      const expected = new Uint8Array(2 ** 21 - 1).fill(1, 0, 2 ** 20).fill(2, 2 ** 20);
      equal(await store.get("large"), expected, "a large value");
      await store.flush();
      equal(await store.get("large"), expected, "a large value after flush");
      const set = bytes("set");
      await store.iset("y", set);
      set.fill(0);
      equal(await read(store, "y"), "set", "y");
    },
  },
  {
    name: "a batch with a value that is not bytes appends nothing",
    run: async ({ store }) => {
      const bad: unknown[] = ["text", 1, null, undefined, [1, 2], {}, new ArrayBuffer(2)];
      bad.push(
        new Uint16Array(2),
        new DataView(new ArrayBuffer(2)),
        new Proxy(new Uint8Array(2), {}),
      );
      for (const value of bad) {
        const entries = [
          ["good", bytes("1")],
          ["bad", value],
        ] as Iterable<readonly [Key, Uint8Array]>;
        await rejects(() => store.append(entries), "ERR_PARTD_VALUE", "append", "bad");
        await rejects(
          () => store.append({ good: bytes("1"), bad: value as Uint8Array }),
          "ERR_PARTD_VALUE",
          "append of an object",
          "bad",
        );
      }
      equal(await collect(store.keys()), [], "keys");
    },
  },
  {
    name: "a batch with something that is not a key appends nothing",
    run: async ({ store }) => {
      for (const key of [["a"], 1, null, undefined, {}, Symbol("s"), "\ud800", "x\udfff"]) {
        const entries = [
          ["good", bytes("1")],
          [key, bytes("2")],
        ] as Iterable<readonly [Key, Uint8Array]>;
        await rejects(() => store.append(entries), "ERR_PARTD_KEY", "append");
      }
      equal(await collect(store.keys()), [], "keys");
    },
  },
  {
    name: "append refuses what has no entries",
    run: async ({ store }) => {
      for (const data of [null, undefined, 1, "text", true, ["xy"], [["x"]], [1]]) {
        await rejects(
          () => store.append(data as unknown as Entries<Uint8Array>),
          "ERR_PARTD_VALUE",
          `append(${JSON.stringify(data)})`,
        );
      }
      const later = { x: bytes("1") };
      const forms: readonly [string, unknown][] = [
        ["a promise", Promise.resolve(later)],
        ["an async iterable", (async function* () {})()],
      ];
      for (const [form, data] of forms) {
        await rejects(
          () => store.append(data as Entries<Uint8Array>),
          "ERR_PARTD_VALUE",
          `append of ${form}`,
        );
      }
      equal(await collect(store.keys()), [], "keys");
      // biome-ignore lint/suspicious/noThenProperty: it is a key like any other.
      await store.append({ then: bytes("1") });
      equal(await read(store, "then"), "1", "a key that promises have, too");
    },
  },
  {
    name: "append refuses bytes that were transferred",
    run: async ({ store }) => {
      const gone = bytes("1");
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      await rejects(
        () => store.append({ x: bytes("1"), gone }),
        "ERR_PARTD_VALUE",
        "append of a detached array",
      );
      equal(await collect(store.keys()), [], "keys");
    },
  },
  {
    name: "an array of a subclass is its bytes, whatever length and species it claims",
    run: async ({ store }) => {
      class Odd extends Uint8Array {
        static get [Symbol.species](): never {
          return Uint16Array as never;
        }
        override get length(): number {
          return 2 as never;
        }
      }
      const small = new Odd(bytes("small").buffer as ArrayBuffer);
      const large = new Odd(new Uint8Array(9_000_001).fill(7).buffer);
      await store.append({ small, large });
      await store.iset("set", small);
      equal(await read(store, "small"), "small", "a small one");
      equal(await read(store, "set"), "small", "a set one");
      const kept = await store.get("large");
      equal(kept.byteLength, 9_000_001, "bytes of a large one");
      ok(
        kept.every((byte) => byte === 7),
        "a large one has other bytes",
      );
    },
  },
  {
    name: "an array with a length of its own is its bytes, or refused",
    run: async ({ store }) => {
      const write = async (key: string, name: string, done: Promise<void>) => {
        const error: unknown = await done.then(
          () => undefined,
          (reason) => reason,
        );
        // A store cannot ask each array for its `byteLength`, which takes longer than a copy.
        ok(!error || (name === "byteLength" && isPartdError(error)), `${key}: ${show(error)}`);
        return error === undefined;
      };
      for (const claimed of [0, 3, 2 ** 20]) {
        for (const name of ["length", "byteLength"]) {
          for (const byteLength of [5, 100_000]) {
            const value = new Uint8Array(byteLength).fill(7);
            const odd = Object.defineProperty(value.slice(), name, { value: claimed });
            const isAppended = await write("x", name, store.append({ x: odd, y: value }));
            const isSet = await write("z", name, store.iset("z", odd, { replace: true } as object));
            const nothing = new Uint8Array(0);
            const expected = [...[0, 1].map(() => isAppended), isSet];
            const what = `x, y and z with a ${name} of ${claimed} for ${byteLength}`;
            const read = await store.get(["x", "y", "z"]);
            equal(
              read,
              expected.map((isThere) => (isThere ? value : nothing)),
              what,
            );
            await store.delete(["x", "y", "z"]);
          }
        }
      }
    },
  },
  {
    name: "an array with methods and a place of its own is its bytes",
    run: async ({ store, options: { largestValue = Infinity } }) => {
      const other = () => bytes("other");
      for (const byteLength of [5, 3_000, 100_000, 2_000_000]) {
        if (2 * byteLength > largestValue) continue;
        const value = new Uint8Array(byteLength).fill(7);
        const methods = Object.assign(value.slice(), { subarray: other, slice: other, set: other });
        const buffer = { buffer: { value: new ArrayBuffer(8 * byteLength) } };
        const offset = { ...buffer, byteOffset: { value: byteLength } };
        // A short array of another `byteLength` is refused by Node.
        const lengthToo = byteLength > 5 ? { ...offset, byteLength: { value: 3 } } : {};
        const placed = [buffer, offset, lengthToo].map((place) =>
          Object.defineProperties(value.slice(), place),
        );
        const twice = new Uint8Array(2 * byteLength).fill(7);
        for (const odd of [methods, ...placed]) {
          await store.append({ x: odd });
          await store.append({ x: odd });
          await store.iset("y", odd, { replace: true } as object);
          equal(await store.get(["x", "y"]), [twice, value], `x and y of ${byteLength} bytes`);
          await store.delete(["x", "y"]);
        }
      }
    },
  },
  {
    name: "an iterable that throws appends nothing, and its error comes through",
    run: async ({ store }) => {
      const reason = new Error("from the iterable");
      const error = await rejection(
        () =>
          store.append(
            (function* (): Generator<readonly [Key, Uint8Array]> {
              yield ["x", bytes("1")];
              throw reason;
            })(),
          ),
        "append",
      );
      ok(error === reason, "append should reject with the iterable's own error");
      equal(await collect(store.keys()), [], "keys");
    },
  },
];

/** The constructor of growable memory, which is newer than the types that we compile against. */
type Growable = new (byteLength: number, options: { maxByteLength: number }) => ArrayBuffer;
