import { inspect } from "node:util";
import { Arrow } from "@partd/codec-arrow";
import { Json } from "@partd/codec-json";
import { MsgPack } from "@partd/codec-msgpack";
import { DtypeArray, NdArray, ndarray } from "@partd/codec-ndarray";
import { Pickle, pyTuple } from "@partd/codec-pickle";
import { Lines, Text } from "@partd/codec-text";
import { V8 } from "@partd/codec-v8";
import type { Store } from "@partd/core";
import { Dictionary, Int8, Table, Utf8, vectorFromArray } from "apache-arrow";

export interface CodecUnderTest {
  readonly name: string;
  readonly wrap: (store: Store) => Store<unknown>;
  /** Two values that can be appended to one key. */
  readonly values: readonly [unknown, unknown];
  /** A value as text, so that values of another realm can be compared, too. */
  readonly show: (value: unknown) => string;
  /** The two joined, as text. */
  readonly joined: string;
  /** Some of the values that a stream yielded, joined, as text. */
  readonly showAll: (values: readonly unknown[]) => string;
}

const text = (value: unknown) =>
  inspect(value, { depth: 9, breakLength: Number.POSITIVE_INFINITY });

function lists(name: string, wrap: (store: Store) => Store<unknown>, a: unknown[], b: unknown[]) {
  const showAll = (values: readonly unknown[]) => text((values as unknown[][]).flat(1));
  return { name, wrap, values: [a, b], show: text, joined: text([...a, ...b]), showAll } as const;
}

function table(delays: number[], origins: string[]): Table {
  return new Table({
    delay: vectorFromArray(delays),
    origin: vectorFromArray(origins, new Dictionary(new Utf8(), new Int8())),
  });
}

const rows = (value: unknown) => (value as Table).toArray().map((row) => JSON.stringify(row));
const numbers = (arrays: readonly unknown[]) => (arrays as Int32Array[]).flatMap((one) => [...one]);
const bools = (value: unknown) => [...(value instanceof DtypeArray ? value.data : [])];

export const codecs: readonly CodecUnderTest[] = [
  lists("Json", (store) => new Json(store) as Store<unknown>, [1, { a: [null] }], ["Grüße"]),
  lists("V8", (store) => new V8(store) as Store<unknown>, [new Map([[1, 2n]])], [new Date(0)]),
  lists(
    "MsgPack",
    (store) => new MsgPack(store) as Store<unknown>,
    [2n ** 60n, new Map([[1, "x"]])],
    [{ a: -1.5 }, new Date(0)],
  ),
  lists(
    "Pickle",
    (store) => new Pickle(store) as Store<unknown>,
    [2n ** 80n, pyTuple(1, "two")],
    [new Set(["a"]), { nested: { none: null } }],
  ),
  lists("Lines", (store) => new Lines(store) as Store<unknown>, ["one", ""], ["Grüße 🌍"]),
  lists(
    "NdArray of objects",
    (store) => new NdArray(store, { type: Array }) as Store<unknown>,
    ["a", 1],
    ["b"],
  ),
  {
    name: "Text",
    wrap: (store) => new Text(store) as Store<unknown>,
    values: ["Grüße, ", "🌍\n"],
    show: text,
    joined: text("Grüße, 🌍\n"),
    showAll: (values) => text(values.join("")),
  },
  {
    name: "NdArray",
    wrap: (store) => new NdArray(store) as Store<unknown>,
    values: [Int32Array.of(1, -2), Int32Array.of(3)],
    show: (value) => text(numbers([value])),
    joined: text([1, -2, 3]),
    showAll: (values) => text(numbers(values)),
  },
  {
    name: "NdArray of bools",
    wrap: (store) => new NdArray(store) as Store<unknown>,
    values: [ndarray("bool", Uint8Array.of(1, 0)), ndarray("bool", Uint8Array.of(1))],
    show: (value) => text(bools(value)),
    joined: text([1, 0, 1]),
    showAll: (values) => text(values.flatMap(bools)),
  },
  {
    name: "Arrow",
    wrap: (store) => new Arrow(store) as Store<unknown>,
    values: [table([1.5], ["JFK"]), table([2, 3], ["LAX", "JFK"])],
    show: (value) => text(rows(value)),
    joined: text([...rows(table([1.5, 2, 3], ["JFK", "LAX", "JFK"]))]),
    showAll: (values) => text(values.flatMap(rows)),
  },
];
