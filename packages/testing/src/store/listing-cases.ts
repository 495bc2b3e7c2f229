import { type Key, type Store, tuple } from "@partd/core";
import { concatBytes } from "@partd/core/author";
import { equal, ok, rejects } from "../check.js";
import { bytes, collect, read, type StoreCase, text } from "./store-case.js";

export const listingCases: readonly StoreCase[] = [
  {
    name: "entries gives every key with its value, each once",
    run: async ({ store, options, open }) => {
      const names = Array.from({ length: 3_000 }, (_, i) => `key ${i}`);
      const kept = names.slice(0, 2_000);
      await store.append(names.map((name) => [name, bytes(`${name};`)] as const));
      await store.append([
        ...names.map((name) => [name, bytes("+")] as const),
        [tuple("a", "b"), bytes("tuple")],
        ["../x", bytes("hostile")],
        ["large", new Uint8Array(400_000).fill(7)],
      ]);
      await store.delete(names.slice(kept.length));
      const expected = new Map<string, string>([
        ...kept.map((name) => [name, `${name};+`] as const),
        ['tuple("a", "b")', "tuple"],
        ["../x", "hostile"],
        ["large", "\x07".repeat(400_000)],
      ]);
      const same = async (from: Store, what: string) => {
        const found = await collect(from.entries());
        equal(found.length, expected.size, `${what}: how many`);
        equal(
          new Map(found.map(([key, value]) => [String(key), text(value)])),
          new Map(found.map(([key]) => [String(key), expected.get(String(key))])),
          what,
        );
        equal(new Set(found.map(([key]) => String(key))).size, expected.size, `${what}: each once`);
      };
      await same(store, "entries");
      await store.withLock((held) => same(held, "entries under the lock"));
      if (!options.persistent) return;
      await store.close();
      await same(await open(), "entries after the data set was opened again");
    },
  },
  {
    name: "entries are the caller's own, may be abandoned, and go on while the store is changed",
    run: async ({ store }) => {
      const names = Array.from({ length: 2_000 }, (_, i) => `k${i}`);
      await store.append(names.map((name) => [name, bytes(name)] as const));
      for await (const [, value] of store.entries()) value.fill(0);
      for await (const _ of store.entries()) break;
      const seen = new Set<Key>();
      for await (const [key, value] of store.entries()) {
        ok(!seen.has(key), `${String(key)} came twice`);
        seen.add(key);
        const found = text(value);
        ok(found === key || found === `${String(key)}!`, `${String(key)} read ${found}`);
        if (seen.size === 1) {
          await store.append(names.map((name) => [name, bytes("!")] as const));
          await store.delete(names.slice(1_500));
        }
      }
      ok(
        names.slice(0, 1_500).every((name) => seen.has(name)),
        "a key that was there all along is missing",
      );
    },
  },
  {
    name: "entries gives a value that is too long in pieces, one behind the other",
    run: async ({ store }) => {
      const large = new Uint8Array(1_500_000).map((_, i) => i * 31);
      await store.append({ a: bytes("1"), large: large.subarray(0, 700_000), z: bytes("2") });
      await store.append({ a: bytes("+"), large: large.subarray(700_000), z: bytes("+") });
      const found = await collect(store.entries({ longest: 100_000 }));
      const keys = found.map(([key]) => key);
      const runs = keys.filter((key, i) => key !== keys[i - 1]);
      equal([...runs].sort(), ["a", "large", "z"], "keys, each in one run");
      const values = (name: string) => found.filter(([key]) => key === name).map(([, v]) => v);
      equal(values("a").map(text), ["1+"], "a short value comes whole");
      equal(values("z").map(text), ["2+"], "a short value comes whole");
      equal(concatBytes(values("large")), large, "the pieces of a long value");
      equal(values("none"), [], "no such key");
      await rejects(
        () => collect(store.entries({ longest: Number.NaN })),
        "ERR_PARTD_VALUE",
        "entries",
      );
    },
  },
  {
    name: "keys and entries of a prefix are the tuples that begin with it",
    run: async ({ store }) => {
      const days: Key[] = [
        "2024",
        "2024-01",
        "2024x",
        tuple("2024", "JFK"),
        tuple("2024", "JFK", "1"),
        tuple("2024", "JFKX"),
        tuple("2024", ""),
        tuple("20", "24"),
        tuple("", "2024"),
        tuple("a/b", "c"),
        tuple("a", "b", "c"),
      ];
      await store.append(days.map((key) => [key, bytes(String(key))] as const));
      const of = async (prefix: Key) => {
        const listed = (await collect(store.keys({ prefix }))).map(String).sort();
        const entries = await collect(store.entries({ prefix }));
        equal(entries.map(([key]) => String(key)).sort(), listed, "entries and keys");
        for (const [key, value] of entries) equal(text(value), String(key), "the value");
        return listed;
      };
      const texts = (keys: readonly Key[]) => keys.map(String).sort();
      equal(await of("2024"), texts(days.slice(3, 7)), "2024");
      equal(await of(tuple("2024", "JFK")), texts([days[4] as Key]), "2024, JFK");
      equal(await of("a/b"), texts([days[9] as Key]), "a/b");
      equal(await of(""), texts([days[8] as Key]), "the empty prefix");
      equal(await of("none"), [], "none");
      const bad = 1 as unknown as Key;
      await rejects(() => collect(store.keys({ prefix: bad })), "ERR_PARTD_KEY", "keys");
      await rejects(() => collect(store.entries({ prefix: bad })), "ERR_PARTD_KEY", "entries");
    },
  },
  {
    name: "keys and entries come in the order of their encoded keys where they are to be sorted",
    run: async ({ store }) => {
      const sorted: Key[] = ["%", "10", "2", tuple("2", "a"), tuple("2", "b"), "A", "a", "b"];
      await store.append(sorted.toReversed().map((key) => [key, bytes("1")] as const));
      const expected = sorted.map(String);
      const keys = (await collect(store.keys({ sorted: true }))).map(String);
      equal(keys, expected, "keys");
      const entries = await collect(store.entries({ sorted: true }));
      equal(
        entries.map(([key]) => String(key)),
        expected,
        "entries",
      );
      const some = await collect(store.keys({ sorted: true, prefix: "2" }));
      equal(some.map(String), expected.slice(3, 5), "keys of a prefix");
    },
  },
  {
    name: "count and size tell how many keys there are, and how long a value is",
    run: async ({ store, options }) => {
      const sizeIs = async (from: Store, key: Key, bytes: number, what: string) => {
        const size = await from.size(key);
        if (options.compressed && bytes > 0) ok(size > 0, what);
        else equal(size, bytes, what);
      };
      equal(await store.count(), 0, "count of an empty store");
      await sizeIs(store, "x", 0, "size of an absent key");
      await store.append({ x: bytes("123"), y: new Uint8Array(500_000), empty: bytes("") });
      await store.append([
        ["x", bytes("45")],
        [tuple("x", "y"), bytes("6")],
      ]);
      equal(await store.count(), 3, "count");
      await sizeIs(store, "x", 5, "size of x");
      await sizeIs(store, "y", 500_000, "size of y");
      await sizeIs(store, tuple("x", "y"), 1, 'size of tuple("x", "y")');
      await store.flush();
      await store.append({ x: bytes("7") });
      await sizeIs(store, "x", 6, "size of x after flush and append");
      await store.withLock(async (held) => {
        await held.delete("y");
        equal(await held.count(), 2, "count under the lock");
        await sizeIs(held, "y", 0, "size of a deleted key");
      });
      equal(await read(store, "x"), "123457", "x");
      await rejects(() => store.size(1 as unknown as Key), "ERR_PARTD_KEY", "size");
    },
  },
];
