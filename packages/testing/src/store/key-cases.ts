import { isTuple, type Key, tuple } from "@partd/core";
import { sameKey } from "@partd/core/author";
import { equal, fail, ok, rejects } from "../check.js";
import { bytes, collect, readStream, type StoreCase, text } from "./store-case.js";

/**
 * Keys that break stores: names of prototypes and paths, names that stores use themselves, long
 * names, and names that differ by one character of any kind.
 */
export const hostileKeys: readonly Key[] = [
  "",
  " ",
  ".",
  "..",
  "...",
  "../x",
  "../../x",
  "/x",
  "x",
  "x/",
  "x/y",
  tuple("x", "y"),
  tuple("x", "y", "z"),
  tuple("x/y", "z"),
  tuple("x", "y/z"),
  tuple("", ""),
  tuple("x", ""),
  tuple("", "x"),
  tuple("..", ".."),
  tuple(".", "x"),
  tuple(".partd", "x"),
  "%",
  "%2E",
  "%2F",
  "x%2Fy",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  tuple("__proto__", "x"),
  ".lock",
  ".lock.",
  "x.lock",
  ".partd",
  ".partd/x",
  ".partd-journal",
  ".PARTD",
  ".hidden",
  "ab",
  "a!b",
  "a?b",
  "a*b",
  "a:b",
  "a\\b",
  "a\0b",
  "a\nb",
  "a\tb",
  'a"b',
  "a'b",
  "a<b>|",
  "a,b",
  "a;b",
  "a=b&c",
  "a#b",
  "a@b",
  "[a]",
  "{a}",
  "a~b",
  "a`b",
  "a$b",
  "a^b",
  "-",
  "--",
  "-x",
  "con",
  "nul",
  "x.",
  "x ",
  " x",
  "X",
  "a b",
  "a+b",
  "null",
  "undefined",
  "0",
  "-0",
  "1e3",
  "é", // one character …
  "e\u0301", // … and its decomposition are two keys.
  "ß",
  "ключ",
  "鍵",
  "😀",
  "👩‍👩‍👧",
  "\u{10ffff}",
  "\ufeff",
  "\uffff",
  tuple("😀", "鍵"),
  "k".repeat(300),
  `${"k".repeat(299)}l`,
  "l".repeat(2_000),
  "😀".repeat(75),
  tuple("m".repeat(300), "n".repeat(300)),
  tuple(...Array.from({ length: 20 }, (_, i) => i)),
];

export const keyCases: readonly StoreCase[] = [
  {
    name: "hostile keys hold their own values, in one append, and are listed as they were written",
    run: async ({ store }) => {
      await store.append(hostileKeys.map((key, i) => [key, bytes(`${i};`)] as const));
      await store.append(hostileKeys.map((key, i) => [key, bytes(`${i}.`)] as const));
      const values = await store.get(hostileKeys);
      hostileKeys.forEach((key, i) => {
        equal(text(values[i] as Uint8Array), `${i};${i}.`, describe(key));
      });
      const listed = await collect(store.keys());
      for (const key of hostileKeys) {
        ok(
          listed.some((other) => sameKey(key, other)),
          `keys() should list ${describe(key)}`,
        );
      }
      equal(listed.length, hostileKeys.length, "the number of keys");
    },
  },
  {
    name: "each hostile key alone is appended, streamed, set, popped and deleted",
    run: async ({ store }) => {
      for (const key of hostileKeys) {
        const name = describe(key);
        try {
          await store.append([[key, bytes("1")]]);
          equal(await readStream(store, key), "1", `${name}, streamed`);
          await store.iset(key, bytes("2"));
          equal(text(await store.pop(key)), "2", `${name}, popped`);
          await store.append([[key, bytes("3")]]);
          await store.delete([key]);
          equal(text(await store.get(key)), "", `${name}, deleted`);
        } catch (error) {
          fail(`${name}: ${error instanceof Error ? error.message : String(error)}`, error);
        }
      }
      equal(await collect(store.keys()), [], "keys");
    },
  },
  {
    name: "text that is not well-formed Unicode is refused as a key, wherever it stands",
    run: async ({ store }) => {
      const lone = ["\ud800", "x\udfff", "\udc00\ud800", "\ud83dx"];
      for (const key of [...lone, ...lone.map((part) => tuple("x", part))]) {
        await rejects(() => store.append([[key, bytes("1")]]), "ERR_PARTD_KEY", "append");
        await rejects(() => store.get(key), "ERR_PARTD_KEY", "get");
        await rejects(() => store.iset(key, bytes("1")), "ERR_PARTD_KEY", "iset");
      }
      equal(await collect(store.keys()), [], "keys");
    },
  },
  {
    name: "a key x and tuples that begin with x live together, whichever came first",
    run: async ({ store }) => {
      await store.append([["x", bytes("1")]]);
      await store.append([[tuple("x", "y"), bytes("2")]]);
      await store.append([[tuple("p", "q", "r"), bytes("3")]]);
      await store.append([[tuple("p", "q"), bytes("4")]]);
      await store.append([["p", bytes("5")]]);
      const keys = ["x", tuple("x", "y"), tuple("p", "q", "r"), tuple("p", "q"), "p"];
      equal((await store.get(keys)).map(text), ["1", "2", "3", "4", "5"], "values");
      await store.delete(["x", tuple("p", "q")]);
      equal((await store.get(keys)).map(text), ["", "2", "3", "", "5"], "values");
      await store.append([["x", bytes("6")]]);
      equal((await store.get(keys)).map(text), ["6", "2", "3", "", "5"], "values");
    },
  },
];

function describe(key: Key): string {
  const text = isTuple(key) ? String(key) : JSON.stringify(key);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
