import { isTuple, type Key, type KeyTree, tuple } from "@partd/core";
import { type LowerStore, sameKey } from "@partd/core/author";
import { equal, ok, rejects } from "../check.js";
import { anotherCaller, bytes, collect, read, type StoreCase, text } from "./store-case.js";

export const readCases: readonly StoreCase[] = [
  {
    name: "a key that was never written reads as no bytes",
    run: async ({ store }) => {
      equal(await store.get("x"), new Uint8Array(0), "x");
      equal(await store.get(["x", tuple("x", "y")]), [new Uint8Array(0), new Uint8Array(0)], "two");
      equal(await store.pop("x"), new Uint8Array(0), "popped x");
      equal(await collect(store.stream("x")), [], "streamed x");
    },
  },
  {
    name: "get answers a key with a value, a list with a list, nested lists with nested lists",
    run: async ({ store }) => {
      await store.append([
        ["a", bytes("1")],
        ["b", bytes("2")],
        [tuple("a", "b"), bytes("3")],
      ]);
      equal(text(await store.get("a")), "1", "a");
      equal((await store.get(["a", "b"])).map(text), ["1", "2"], "[a, b]");
      equal(await store.get([]), [], "[]");
      equal(await store.get([[], [[]]]), [[], [[]]], "empty lists");
      const nested = await store.get(["b", ["a", [tuple("a", "b"), "none"]], "a", ["a"]]);
      equal(
        nested,
        [bytes("2"), [bytes("1"), [bytes("3"), bytes("")]], bytes("1"), [bytes("1")]],
        "nested lists",
      );
    },
  },
  {
    name: "a tuple is one key, and an array a list of keys",
    run: async ({ store }) => {
      await store.append([[tuple("a", 1), bytes("tuple")]]);
      equal(await read(store, tuple("a", "1")), "tuple", 'tuple("a", "1")');
      equal((await store.get(["a", "1"])).map(text), ["", ""], '["a", "1"]');
      const [key] = await collect(store.keys());
      ok(isTuple(key) && sameKey(key, tuple("a", 1)), "keys() should give the tuple back");
    },
  },
  {
    name: "what get returns is the caller's own",
    run: async ({ store }) => {
      await store.append({ x: bytes("value") });
      const [first, second] = await store.get(["x", "x"]);
      first.fill(0);
      equal(text(second), "value", "the same key, asked for twice in one call");
      equal(await read(store, "x"), "value", "x after its first answer was changed");
      for await (const piece of store.stream("x")) piece.fill(0);
      equal(await read(store, "x"), "value", "x after its streamed pieces were changed");
      await store.append({ x: bytes("!") });
      equal(text(second), "value", "an earlier answer after a later append");
      const popped = await store.pop("x");
      await store.append({ y: bytes("other!"), x: bytes("again!") });
      equal(text(popped), "value!", "what was popped, after later appends");
    },
  },
  {
    name: "a large value that get or pop returned is the caller's own",
    run: async ({ store }) => {
      const value = new Uint8Array(400_000).fill(1);
      await store.append({ x: value });
      await store.append({ x: value });
      const whole = new Uint8Array(800_000).fill(1);
      const [first, second] = await store.get(["x", "x"]);
      first.fill(0);
      equal(second, whole, "the same key, asked for twice in one call");
      for await (const piece of store.stream("x")) piece.fill(0);
      const popped = await store.pop("x");
      equal(popped, whole, "x after its answers were changed");
      await store.append({
        x: new Uint8Array(800_000).fill(2),
        y: new Uint8Array(800_000).fill(3),
      });
      equal(popped, whole, "what was popped, after later appends");
    },
  },
  {
    name: "get reads the same into memory of the caller's, whether it has a use for it or not",
    run: async ({ store }: { store: LowerStore }) => {
      const large = new Uint8Array(300_000).map((_, i) => i * 7);
      await store.append({ x: bytes("one"), y: large });
      await store.append({ x: bytes("two") });
      const asked: number[] = [];
      const memory: Uint8Array[] = [];
      const allocate = (byteLength: number) => {
        const around = new Uint8Array(byteLength + 2).fill(255);
        asked.push(byteLength);
        memory.push(around);
        return around.subarray(1, byteLength + 1);
      };
      const [x, [y, absent, again]] = await store.get(["x", ["y", "never", "x"]], { allocate });
      equal(x, bytes("onetwo"), "x");
      equal(y, large, "y");
      equal(absent, new Uint8Array(0), "a key that was never written");
      equal(again, bytes("onetwo"), "x, asked for again");
      ok(
        memory.every((around) => around[0] === 255 && around.at(-1) === 255),
        "nothing should be written beside the memory that was given",
      );
      x.fill(0);
      equal(again, bytes("onetwo"), "the second x after the first was changed");
      ok(asked.length <= 4, `allocate was called ${asked.length} times for 4 values`);
    },
  },
  {
    name: "get, pop and delete read their lists at once: what is done to them later changes nothing",
    run: async ({ store }) => {
      const names = ["a", "b", "c", "d", "e", "f"];
      await store.append(names.map((name) => [name, bytes(name)] as const));
      const got: KeyTree[] = ["a", ["b"]];
      const popped: Key[] = ["c", "d"];
      const deleted: Key[] = ["e"];
      let waiting: Promise<unknown>[] = [];
      const another = anotherCaller();
      await store.withLock(() => {
        waiting = another(() => [store.get(got), store.pop(popped), store.delete(deleted)]);
        for (const call of waiting) call.catch(() => {}); // Awaited below.
        got[0] = "f";
        (got[1] as Key[])[0] = "f";
        popped[1] = "f";
        deleted.push("f");
      });
      const [answer, values] = await Promise.all(waiting);
      equal(answer, [bytes("a"), [bytes("b")]], "what was got");
      equal(values, [bytes("c"), bytes("d")], "what was popped");
      equal((await collect(store.keys())).sort(), ["a", "b", "f"], "keys");
    },
  },
  {
    name: "get, stream, pop, delete and iset refuse what is not a key",
    run: async ({ store }) => {
      await store.append({ x: bytes("1") });
      for (const bad of [1, null, undefined, {}, "\udc00"] as unknown as Key[]) {
        await rejects(() => store.get(bad), "ERR_PARTD_KEY", "get");
        await rejects(() => store.get(["x", [bad]] as KeyTree), "ERR_PARTD_KEY", "nested get");
        await rejects(() => store.pop(["x", bad]), "ERR_PARTD_KEY", "pop");
        await rejects(() => store.delete(["x", bad]), "ERR_PARTD_KEY", "delete");
        await rejects(() => store.iset(bad, bytes("1")), "ERR_PARTD_KEY", "iset");
        await rejects(() => collect(store.stream(bad)), "ERR_PARTD_KEY", "stream");
      }
      await rejects(
        () => collect(store.stream(["x"] as unknown as Key)),
        "ERR_PARTD_KEY",
        "stream of a list",
      );
      const endless: KeyTree[] = ["x"];
      endless.push(endless);
      await rejects(() => store.get(endless), "ERR_PARTD_KEY", "get of a list that holds itself");
      await rejects(() => store.pop(endless), "ERR_PARTD_KEY", "pop of a list that holds itself");
      equal(await read(store, "x"), "1", "x");
    },
  },
  {
    name: "delete removes keys, and nothing else",
    run: async ({ store }) => {
      await store.append([
        ["a", bytes("1")],
        ["b", bytes("2")],
        [tuple("a", "b"), bytes("3")],
        [tuple("a", "c"), bytes("4")],
      ]);
      await store.delete("a");
      await store.delete([]);
      await store.delete(["never", "b", "b"]);
      equal(await read(store, "a"), "", "a");
      equal(await read(store, "b"), "", "b");
      equal(await read(store, tuple("a", "b")), "3", 'tuple("a", "b")');
      await store.delete(tuple("a", "b"));
      equal((await collect(store.keys())).map(String), [String(tuple("a", "c"))], "keys");
      await store.append({ a: bytes("new") });
      equal(await read(store, "a"), "new", "a, appended again");
    },
  },
  {
    name: "pop reads and removes, in the shape of get",
    run: async ({ store }) => {
      await store.append({ a: bytes("1"), b: bytes("2"), c: bytes("3"), d: bytes("4") });
      equal(text(await store.pop("a")), "1", "a");
      equal(
        await store.pop(["b", ["c", "none"], []]),
        [bytes("2"), [bytes("3"), bytes("")], []],
        "b, c",
      );
      equal(await collect(store.keys()), ["d"], "keys");
      equal(text(await store.pop("a")), "", "a, popped again");
      equal(await store.pop([]), [], "[]");
    },
  },
  {
    name: "pop gives a key that is asked for twice its value twice",
    run: async ({ store }) => {
      await store.append({ a: bytes("1") });
      equal(await store.pop(["a", "a"]), [bytes("1"), bytes("1")], "a, a");
      equal(await collect(store.keys()), [], "keys");
    },
  },
  {
    name: "of pops that overlap, one alone gets the value",
    run: async ({ store }) => {
      await store.append({ a: bytes("1") });
      const answers = await Promise.all(Array.from({ length: 8 }, () => store.pop("a")));
      equal(answers.map(text).sort().join(), ",,,,,,,1", "answers");
    },
  },
  {
    name: "iset replaces the value at its first call and does nothing later",
    run: async ({ store }) => {
      await store.append({ x: bytes("before") });
      await store.iset("x", bytes("set"));
      await store.iset("x", bytes("never"));
      equal(await read(store, "x"), "set", "x");
      await store.append({ x: bytes("+") });
      await store.iset("x", bytes("never"));
      equal(await read(store, "x"), "set+", "x");
      await store.iset(tuple("x", "y"), bytes("tuple"));
      equal(await read(store, tuple("x", "y")), "tuple", 'tuple("x", "y")');
    },
  },
  {
    name: "iset with replace sets again",
    run: async ({ store }: { store: LowerStore }) => {
      await store.iset("x", bytes("first"));
      await store.append({ x: bytes("+") });
      await store.iset("x", bytes("second"), { replace: true });
      equal(await read(store, "x"), "second", "x");
      await store.iset("x", bytes("never"));
      equal(await read(store, "x"), "second", "x, set before");
    },
  },
  {
    name: "of isets that overlap, the first alone sets",
    run: async ({ store }) => {
      await store.append({ x: bytes("before") });
      await Promise.all(["1", "2", "3", "4"].map((value) => store.iset("x", bytes(value))));
      equal(await read(store, "x"), "1", "x");
    },
  },
  {
    name: "iset with replace sets each time, and counts for the calls without it",
    run: async ({ store }: { store: LowerStore }) => {
      await store.iset("x", bytes("1"));
      await store.iset("x", bytes("2"), { replace: true });
      equal(await read(store, "x"), "2", "x");
      await store.append({ x: bytes("+"), y: bytes("before") });
      await store.iset("x", bytes("3"), { replace: true });
      equal(await read(store, "x"), "3", "x");
      await store.iset("y", bytes("1"), { replace: true });
      await store.iset("y", bytes("never"));
      await store.iset("y", bytes("never"), { replace: false });
      equal(await read(store, "y"), "1", "y");
      await store.withLock(async (held: LowerStore) => {
        await held.iset("y", bytes("never"));
        await held.iset("y", bytes("2"), { replace: true });
      });
      equal(await read(store, "y"), "2", "y, set under the lock");
    },
  },
  {
    name: "iset sets again once its key was deleted or popped, or the store dropped",
    run: async ({ store }) => {
      await store.iset("x", bytes("1"));
      await store.delete("x");
      await store.iset("x", bytes("2"));
      equal(await read(store, "x"), "2", "x after delete");
      await store.pop("x");
      await store.iset("x", bytes("3"));
      equal(await read(store, "x"), "3", "x after pop");
      await store.drop();
      await store.iset("x", bytes("4"));
      equal(await read(store, "x"), "4", "x after drop");
    },
  },
  {
    name: "iset of no bytes empties the key, and of what is not bytes is refused",
    run: async ({ store }) => {
      await store.append({ x: bytes("1"), y: bytes("1") });
      await store.iset("x", new Uint8Array(0));
      equal(await collect(store.keys()), ["y"], "keys");
      await rejects(
        () => store.iset("y", "text" as unknown as Uint8Array),
        "ERR_PARTD_VALUE",
        "iset",
        "y",
      );
      await store.iset("y", bytes("2"));
      equal(await read(store, "y"), "2", "y: a refused iset is none");
    },
  },
  {
    name: "keys lists every key that holds something, once",
    run: async ({ store }) => {
      const written: Key[] = ["a", "b", tuple("a", "b"), tuple("a", "b", "c"), "d"];
      for (const key of written) await store.append([[key, bytes("1")]]);
      await store.append({ a: bytes("2"), empty: new Uint8Array(0) });
      await store.delete("d");
      const listed = (await collect(store.keys())).map(String).sort();
      equal(listed, written.slice(0, 4).map(String).sort(), "keys");
    },
  },
  {
    name: "keys may be abandoned, and the store changed while it is read",
    run: async ({ store }) => {
      await store.append({ a: bytes("1"), b: bytes("2"), c: bytes("3") });
      for await (const key of store.keys()) {
        await store.delete(key);
        break;
      }
      equal((await collect(store.keys())).length, 2, "keys left");
      for await (const key of store.keys()) await store.delete(key);
      equal(await collect(store.keys()), [], "keys");
    },
  },
];
