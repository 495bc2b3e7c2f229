import type { Store } from "@partd/core";
import { equal, ok } from "../check.js";
import {
  bytes,
  collect,
  read,
  type StoreCase,
  type StoreContractOptions,
  text,
} from "./store-case.js";

export const scaleCases: readonly StoreCase[] = [
  {
    name: "many keys in one append, and in one get",
    run: async ({ store, options }) => {
      const names = Array.from({ length: options.manyKeys ?? 10_000 }, (_, i) => `key ${i}`);
      await store.append(names.map((name) => [name, bytes(`${name};`)] as const));
      await store.append(Object.fromEntries(names.map((name) => [name, bytes("+")])));
      const values = await store.get(names);
      names.forEach((name, i) => {
        equal(text(values[i] as Uint8Array), `${name};+`, name);
      });
      equal((await collect(store.keys())).sort(), names.toSorted(), "keys");
      await store.delete(names.slice(1));
      equal(await collect(store.keys()), [names[0]], "keys after delete");
    },
  },
  {
    name: "a large value, in one append and as it is streamed",
    run: async ({ store, options, open }) => {
      const size = largest(options);
      const value = patterned(size);
      await store.append({ large: value, small: bytes("1") });
      await store.append({ large: bytes("end"), small: bytes("2") });
      const matches = async (from: Store) => {
        const whole = await from.get("large");
        equal(whole.byteLength, size + 3, "length of the value");
        ok(samePattern(whole.subarray(0, size), 0), "the value should read back as written");
        equal(text(whole.subarray(size)), "end", "the end of the value");
      };
      await matches(store);
      let offset = 0;
      for await (const piece of store.stream("large")) {
        const end = Math.min(piece.byteLength, size - offset);
        if (end > 0) ok(samePattern(piece.subarray(0, end), offset), "the streamed value");
        offset += piece.byteLength;
      }
      equal(offset, size + 3, "length of the streamed value");
      equal(await read(store, "small"), "12", "small");
      if (!options.persistent) return;
      await store.close();
      await matches(await open());
    },
  },
  {
    name: "200 overlapping appends to shared keys are all there, each once, each batch whole",
    run: async ({ store }) => {
      await Promise.all(
        Array.from({ length: 200 }, (_, i) =>
          store.append({
            all: bytes(`<${i}>`),
            [`of ${i % 10}`]: bytes(`<${i}>`),
            [`only ${i}`]: bytes(`<${i}>`),
          }),
        ),
      );
      const expected = Array.from({ length: 200 }, (_, i) => i);
      equal(numbers(await read(store, "all")), expected, "all");
      for (let ten = 0; ten < 10; ten++) {
        equal(
          numbers(await read(store, `of ${ten}`)),
          expected.filter((i) => i % 10 === ten),
          `of ${ten}`,
        );
      }
      equal((await collect(store.keys())).length, 211, "the number of keys");
    },
  },
  {
    name: "200 overlapping calls of every sort lose nothing and double nothing",
    run: async ({ store }) => {
      const popped: string[] = [];
      await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          const key = `k${i % 5}`;
          await store.append({ [key]: bytes(`<${i}>`) });
          if (i % 4 === 0) popped.push(text(await store.pop(key)));
          if (i % 4 === 1) await store.get([key, ["k0"]]);
          if (i % 4 === 2) await collect(store.stream(key));
          if (i % 10 === 3) await store.withLock((held) => held.get(key));
          if (i % 50 === 7) await store.flush();
          if (i % 50 === 9) await collect(store.keys());
        }),
      );
      for (let i = 0; i < 5; i++) popped.push(await read(store, `k${i}`));
      const expected = Array.from({ length: 200 }, (_, i) => i);
      equal(numbers(popped.join("")), expected, "everything appended");
    },
  },
  {
    name: "appends to a key that are awaited in turn are read back in order, amid other calls",
    run: async ({ store }) => {
      const writer = async (key: string) => {
        for (let i = 0; i < 40; i++)
          await store.append({ [key]: bytes(`<${i}>`), all: bytes(".") });
      };
      await Promise.all(["a", "b", "c", "d"].map(writer));
      const expected = Array.from({ length: 40 }, (_, i) => `<${i}>`).join("");
      for (const key of ["a", "b", "c", "d"]) equal(await read(store, key), expected, key);
      equal((await read(store, "all")).length, 160, "length of all");
    },
  },
  {
    name: "two stores of one data set append to shared keys at once, and each keeps its order",
    when: ({ shared }) => shared,
    run: async ({ store, open }) => {
      const other = await open();
      const writer = async (through: Store, name: string) => {
        for (let i = 0; i < 40; i++) {
          await through.append({ all: bytes(`<${name}${i}>`), [`k${i % 7}`]: bytes("-") });
        }
      };
      await Promise.all([writer(store, "a"), writer(other, "b")]);
      const all = (await read(other, "all")).match(/<\w\d+>/g) ?? [];
      equal(all.length, 80, "the number of appends");
      for (const name of ["a", "b"]) {
        equal(
          all.filter((item) => item.startsWith(`<${name}`)),
          Array.from({ length: 40 }, (_, i) => `<${name}${i}>`),
          `the appends of ${name}`,
        );
      }
    },
  },
];

/** The numbers in `<1><22>…`, sorted. */
function numbers(value: string): number[] {
  return [...value.matchAll(/<(\d+)>/g)].map((match) => Number(match[1])).sort((a, b) => a - b);
}

function largest({ largestValue }: StoreContractOptions): number {
  return largestValue ?? 100 * 2 ** 20;
}

/** Bytes that encode their position, with a period that divides no power of two. */
function patterned(size: number): Uint8Array {
  const value = new Uint8Array(size);
  for (let i = 0; i < size; i += PERIOD) value.set(PATTERN.subarray(0, size - i), i);
  return value;
}

function samePattern(value: Uint8Array, offset: number): boolean {
  let at = offset % PERIOD;
  for (let i = 0; i < value.length; i++) {
    if (value[i] !== PATTERN[at]) return false;
    if (++at === PERIOD) at = 0;
  }
  return true;
}

const PERIOD = 65_521;
const PATTERN = Uint8Array.from({ length: PERIOD }, (_, i) => (i * 131) >> 3);
