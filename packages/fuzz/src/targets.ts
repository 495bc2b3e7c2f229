import { readFileSync } from "node:fs";
import { Arrow } from "@partd/codec-arrow";
import { Json } from "@partd/codec-json";
import { MsgPack } from "@partd/codec-msgpack";
import { NdArray, type NdValue, ndarray } from "@partd/codec-ndarray";
import { PandasBlocks, PandasColumns } from "@partd/codec-pandas";
import { Pickle } from "@partd/codec-pickle";
import { Lines, Text } from "@partd/codec-text";
import { V8 } from "@partd/codec-v8";
import { Blosc } from "@partd/compress-blosc";
import { BZ2 } from "@partd/compress-bz2";
import { LZ4 } from "@partd/compress-lz4";
import { Snappy } from "@partd/compress-snappy";
import { ZLib } from "@partd/compress-zlib";
import { Zstd } from "@partd/compress-zstd";
import { Dict, encodeKey, type Store } from "@partd/core";
import { FRAME_HEADER } from "@partd/core/author";
import type { Table } from "apache-arrow";
import { tables } from "./tables.js";
import type { Image, Target } from "./target.js";

type Open = (store: Store) => Store<unknown>;
const text = new TextEncoder();

/** What the codec itself writes for each value. */
async function written(open: Open, values: readonly unknown[], framed: boolean): Promise<Image[]> {
  const images: Image[] = [];
  for (const value of values) {
    const lower = new Dict();
    await open(lower).append([["x", value]]);
    const image: [string, Uint8Array][] = [];
    for await (const [key, bytes] of lower.entries()) {
      image.push([encodeKey(key), framed ? bytes.slice(FRAME_HEADER) : bytes]);
    }
    images.push(image);
  }
  return images;
}

/** Bytes that Python wrote, in the hexadecimal of a fixture of another package, at any depth. */
function fixture(path: string): Image[] {
  const found: Image[] = [];
  const visit = (part: unknown): void => {
    if (typeof part === "string") found.push([["x", Uint8Array.from(Buffer.from(part, "hex"))]]);
    else for (const inner of Object.values(part as object)) visit(inner);
  };
  visit(JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")));
  return found.filter((image) => (image[0]?.[1].byteLength ?? 0) > 0);
}

function framed(name: string, open: Open, values: readonly unknown[], more: Image[] = []): Target {
  return {
    name,
    framed: true,
    open,
    seeds: async () => [...(await written(open, values, true)), ...more],
  };
}

function unframed(name: string, open: Open, values: readonly unknown[]): Target {
  return { name, framed: false, open, seeds: () => written(open, values, false) };
}

const plain = [
  [1, -1, 300, -70000, 2 ** 40, 1.5, "a", "Grüße 🌍", true, false, null],
  [{ a: 1, b: [1, [2, [3, []]]], c: { d: {}, e: "f".repeat(40) } }],
  Array.from({ length: 40 }, (_, i) => ({ id: i, name: `n${i}`, ok: i % 2 === 0 })),
  [],
];
const rich = [
  [
    2n ** 60n,
    -(2n ** 62n),
    new Date(1e12),
    Uint8Array.of(1, 2, 3),
    new Map<unknown, unknown>([
      [1, "x"],
      ["y", [2]],
    ]),
  ],
  [new Uint8Array(300), "s".repeat(300), Array(40).fill(7), Number.NaN, Number.POSITIVE_INFINITY],
];
const cycle: unknown[] = [{ a: 1 }];
cycle.push(cycle, cycle[0]);
const cloned = [
  [
    new Set([1, "a"]),
    /x/gi,
    new Error("e", { cause: [1] }),
    undefined,
    2n ** 100n,
    Object(1n),
    Object("s"),
  ],
  [
    new Float64Array(4),
    new ArrayBuffer(9),
    new DataView(new ArrayBuffer(5), 1),
    Object(true),
    Object(3),
  ],
  [Object.assign([1, 2], { x: 3 }), Object.assign(Array(3), { 2: 3 }), cycle],
];
const bytes = [
  text.encode("a text in which much is repeated, repeated, repeated. ".repeat(40)),
  Uint8Array.from({ length: 3000 }, (_, i) => (i * i) >> 3),
  new Uint8Array(20_000),
  new Uint8Array(1),
];
const limit = { maxDecodedBytes: 2 ** 22 };
const pickles = fixture("../../codec-pickle/test/fixtures/cpython.json");

/** Its columns are read only when asked for. A column of nulls takes no bytes, however long it is. */
function touchTable(value: unknown): void {
  const table = value as Table;
  for (let c = 0; c < table.numCols; c++) {
    const column = table.getChildAt(c);
    const rows = Math.min(table.numRows, 2000);
    for (let i = 0; i < rows; i++) String(column?.get(i));
    if (table.numRows > rows) String(column?.get(table.numRows - 1));
  }
}

export const targets: readonly Target[] = [
  framed("json", (store) => new Json(store) as Store<unknown>, plain),
  framed("v8", (store) => new V8(store) as Store<unknown>, [...plain, ...rich, ...cloned]),
  framed("msgpack", (store) => new MsgPack(store) as Store<unknown>, [
    ...plain,
    ...rich,
    [2n ** 80n],
  ]),
  framed(
    "pickle",
    (store) => new Pickle(store) as Store<unknown>,
    [...plain, ...rich, cycle],
    pickles,
  ),
  framed(
    "pickle-kept",
    (store) => new Pickle(store, { objects: "keep" }) as Store<unknown>,
    plain,
    pickles,
  ),
  unframed("text", (store) => new Text(store) as Store<unknown>, ["Grüße 🌍\n", "a\r\nb\n"]),
  unframed("lines", (store) => new Lines(store) as Store<unknown>, [
    ["a", "", "Grüße 🌍"],
    ["x".repeat(99)],
  ]),
  unframed("frames", (store) => new Json(store) as Store<unknown>, plain),
  {
    ...unframed("ndarray", (store) => new NdArray(store) as Store<unknown>, [
      ...[
        Int8Array.of(1, 2),
        Uint16Array.of(1, 2),
        Float32Array.of(0.5),
        BigInt64Array.of(1n, -1n),
      ],
      ...([
        ndarray("bool", Uint8Array.of(1, 0)),
        ndarray("<M8[ns]", BigInt64Array.of(1n)),
      ] satisfies NdValue[]),
      ...[ndarray("<c16", Float64Array.of(1, 2))],
    ]),
  },
  unframed("ndarray-objects", (store) => new NdArray(store, { type: Array }) as Store<unknown>, [
    ...[["a", 1, null], [1.5, { a: [2] }], [new Set([1])]],
  ]),
  { ...framed("arrow", (store) => new Arrow(store) as Store<unknown>, tables), touch: touchTable },
  {
    ...framed(
      "arrow-merged",
      (store) => new Arrow(store, { schema: "merge" }) as Store<unknown>,
      tables,
    ),
    touch: touchTable,
  },
  {
    ...framed(
      "pandas-blocks",
      (store) => new PandasBlocks(store) as Store<unknown>,
      [],
      fixture("../../codec-pandas/test/fixtures/frames.json"),
    ),
    touch: touchTable,
  },
  {
    ...unframed(
      "pandas-columns",
      (store) => new PandasColumns(store) as Store<unknown>,
      tables.slice(0, 2),
    ),
    touch: touchTable,
  },
  framed("snappy", (store) => new Snappy(store, limit) as Store<unknown>, bytes),
  framed("lz4", (store) => new LZ4(store, limit) as Store<unknown>, bytes),
  framed("zlib", (store) => new ZLib(store, limit) as Store<unknown>, bytes),
  framed("zstd", (store) => new Zstd(store, limit) as Store<unknown>, bytes),
  framed("bz2", (store) => new BZ2(store, limit) as Store<unknown>, bytes),
  framed("blosc", (store) => new Blosc(store, limit) as Store<unknown>, bytes),
];
