import { deserialize, serialize } from "node:v8";
import { decode, encode } from "@msgpack/msgpack";
import { Arrow } from "@partd/codec-arrow";
import { Json } from "@partd/codec-json";
import { MsgPack } from "@partd/codec-msgpack";
import { NdArray } from "@partd/codec-ndarray";
import { Pickle } from "@partd/codec-pickle";
import { V8 } from "@partd/codec-v8";
import { Dict, type Store } from "@partd/core";
import { frame, splitFrames } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { type Table, tableFromIPC, tableToIPC } from "apache-arrow";
import { type NodeSide, python, type Side, type Suite, type Work } from "../../run/suite.js";
import {
  DATA_FOLDER,
  delays,
  flightTables,
  LISTS,
  RECORDS,
  type RecordsName,
  recordLists,
} from "./data.js";

interface Library {
  readonly name: string;
  readonly encode: (list: unknown[]) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
}

interface Lists {
  readonly name: string;
  readonly wrap: (store: Store) => Store<unknown[]>;
  readonly libraries: readonly Library[];
  /** At least this many times the rate of each library. */
  readonly ratio?: number;
  /** The class of Python's partd that has the same bytes. */
  readonly python?: string;
  /** At least this many times the rate of Python's, whose codecs are C. */
  readonly pythonRatio?: number;
}

const utf8 = new TextEncoder();
const text = new TextDecoder();

const lists: readonly Lists[] = [
  {
    name: "Json",
    wrap: (store) => new Json<unknown>(store),
    libraries: [
      {
        name: "JSON",
        encode: (list) => utf8.encode(JSON.stringify(list)),
        decode: (bytes) => JSON.parse(text.decode(bytes)),
      },
    ],
    ratio: 0.97,
  },
  {
    name: "V8",
    wrap: (store) => new V8(store),
    libraries: [{ name: "node:v8", encode: serialize, decode: deserialize }],
    ratio: 0.97,
  },
  {
    name: "MsgPack",
    wrap: (store) => new MsgPack(store),
    libraries: [{ name: "@msgpack/msgpack", encode, decode }],
    ratio: 1,
    python: "Python",
    pythonRatio: 0.8,
  },
  {
    name: "Pickle",
    wrap: (store) => new Pickle(store),
    libraries: [],
    python: "Pickle",
    pythonRatio: 0.5,
  },
];

/** How many times a run appends or reads it all, into or from a key each. */
const PASSES = 5;
const NUMBERS = 2 ** 17;
const ARRAYS = 32;
const ROWS = 2000;
const TABLES = 10;
const TABLE_PASSES = 20;

/** What the figures in the documentation are made of. */
export const listCodecs = lists.map(({ name, wrap }) => ({ name, wrap }));
export const tableCodec = (store: Store) => new Arrow(store) as Store<Table>;

export const codecs: Suite = {
  name: "codecs",
  works: [
    ...lists.flatMap((entry) =>
      (["flights", "earthquakes"] as const).flatMap((data) => [
        listWork(entry, data, "append"),
        listWork(entry, data, "get"),
      ]),
    ),
    ...lists.map(joinWork),
    ...(["append", "get"] as const).map(arrayWork),
    ...(["append", "get"] as const).map(fileArrayWork),
    ...(["append", "get"] as const).map(tableWork),
  ],
};

type Direction = "append" | "get";

function listWork(entry: Lists, data: RecordsName, direction: Direction): Work {
  const count = LISTS[data] * RECORDS * PASSES;
  const sides: Record<string, Side> = {
    [entry.name]: listSide(entry.wrap, () => recordLists(data), direction),
  };
  for (const library of entry.libraries) sides[library.name] = rawSide(library, data, direction);
  if (entry.python) {
    sides.Python = python("codec_peers", "records", {
      name: entry.python,
      data,
      direction,
      folder: DATA_FOLDER,
      passes: PASSES,
    });
  }
  return {
    title: `${entry.name}: ${direction} ${data}, 1,000 records an append`,
    unit: "records",
    count,
    isLong: data === "earthquakes",
    sides,
    targets: [
      ...entry.libraries.map(({ name }) => ({ against: name, ratio: entry.ratio ?? 0.9 })),
      ...(entry.pythonRatio ? [{ against: "Python", ratio: entry.pythonRatio }] : []),
    ],
  };
}

function listSide(
  wrap: (store: Store) => Store<unknown[]>,
  load: () => unknown[][],
  direction: Direction,
): NodeSide {
  return async () => {
    const all = load();
    const p = wrap(new Dict());
    const append = async (key: string) => {
      for (const list of all) await p.append({ [key]: list });
    };
    if (direction === "get") await append("x");
    return {
      async run() {
        for (let pass = 0; pass < PASSES; pass++) {
          if (direction === "get") await p.get("x");
          else await append(`x${pass}`);
        }
      },
      done: () => p.close(),
    };
  };
}

/** The library alone and frames in a Dict, without more. */
function rawSide(library: Library, data: RecordsName, direction: Direction): NodeSide {
  return async () => {
    const all = recordLists(data);
    const store = new Dict();
    const append = async (key: string) => {
      for (const list of all) await store.append({ [key]: frame(library.encode(list)) });
    };
    const get = async () => {
      const joined: unknown[] = [];
      for (const { bytes } of splitFrames(await store.get("x"), "x")) {
        for (const item of library.decode(bytes) as unknown[]) joined.push(item);
      }
    };
    if (direction === "get") await append("x");
    return {
      async run() {
        for (let pass = 0; pass < PASSES; pass++) {
          if (direction === "get") await get();
          else await append(`x${pass}`);
        }
      },
      done: () => store.close(),
    };
  };
}

/** The same records in 1,000 appends and in 20: what a join costs is to be the sum of its parts. */
function joinWork(entry: Lists): Work {
  const few = () => recordLists("flights");
  const many = () => {
    const all = few().flat();
    return Array.from({ length: RECORDS }, (_, i) => all.slice(i * 20, (i + 1) * 20));
  };
  return {
    title: `${entry.name}: get flights of one key, in 1,000 appends`,
    unit: "records",
    count: 20 * RECORDS * PASSES,
    isLong: true,
    sides: {
      "1,000 appends": listSide(entry.wrap, many, "get"),
      "20 appends": listSide(entry.wrap, few, "get"),
    },
    targets: [{ against: "20 appends", ratio: 0.5 }],
  };
}

function arrayWork(direction: Direction): Work {
  return {
    title: `NdArray: ${direction} float64 of 1 MiB, ${ARRAYS} appends in memory`,
    unit: "MB",
    count: (ARRAYS * NUMBERS * 8) / 1e6,
    sides: {
      NdArray: arraySide(
        (store) => new NdArray(store),
        () => new Dict(),
        direction,
      ),
      "raw bytes": arraySide(bytesOf, () => new Dict(), direction),
      Python: python("codec_peers", "arrays", {
        direction,
        appends: ARRAYS,
        numbers: NUMBERS,
        file: false,
      }),
    },
    targets: [
      { against: "raw bytes", ratio: 0.95 },
      { against: "Python", ratio: 1 },
    ],
    rounds: 9,
    warmups: 6,
  };
}

function fileArrayWork(direction: Direction): Work {
  return {
    title: `NdArray: ${direction} float64 of 1 MiB, ${ARRAYS} appends in files`,
    unit: "MB",
    count: (ARRAYS * NUMBERS * 8) / 1e6,
    sides: {
      NdArray: arraySide(
        (store) => new NdArray(store),
        (path) => new FileStore(path),
        direction,
      ),
      "raw bytes": arraySide(bytesOf, (path) => new FileStore(path), direction),
      Python: python("codec_peers", "arrays", {
        direction,
        appends: ARRAYS,
        numbers: NUMBERS,
        file: true,
      }),
    },
    targets: [
      { against: "raw bytes", ratio: 1 / 1.2 },
      { against: "Python", ratio: 1 },
    ],
    rounds: 9,
    warmups: 6,
  };
}

type ArrayStore = Pick<Store<Float64Array>, "append" | "close"> & {
  get(key: string): Promise<unknown>;
};

function bytesOf(store: Store): ArrayStore {
  return {
    append: (data) =>
      store.append(
        Object.entries(data as Record<string, Float64Array>).map(
          ([key, { buffer, byteOffset, byteLength }]) =>
            [key, new Uint8Array(buffer, byteOffset, byteLength)] as const,
        ),
      ),
    get: (key) => store.get(key),
    close: () => store.close(),
  };
}

function arraySide(
  wrap: (store: Store) => unknown,
  open: (path: string) => Store,
  direction: Direction,
): NodeSide {
  return async (directory) => {
    const p = wrap(open(`${directory}/data`)) as ArrayStore;
    const array = delays(NUMBERS);
    const append = async () => {
      for (let i = 0; i < ARRAYS; i++) await p.append({ x: array });
    };
    if (direction === "get") await append();
    return {
      run: () => (direction === "get" ? p.get("x") : append()),
      done: () => p.close(),
    };
  };
}

function tableWork(direction: Direction): Work {
  const sides: Record<string, Side> = {
    Arrow: tableSide(tableCodec, direction),
    "apache-arrow": rawTableSide(direction),
    PandasBlocks: python("codec_peers", "tables", {
      direction,
      rows: ROWS,
      appends: TABLES,
      passes: TABLE_PASSES,
      folder: DATA_FOLDER,
    }),
  };
  return {
    title: `Arrow: ${direction} flights in tables of ${ROWS} rows, ${TABLES} appends`,
    unit: "rows",
    count: ROWS * TABLES * TABLE_PASSES,
    sides,
    targets: [
      { against: "PandasBlocks", ratio: 1 },
      { against: "apache-arrow", ratio: 0.8 },
    ],
    rounds: 9,
    warmups: 6,
  };
}

function tableSide(wrap: (store: Store) => Store<Table>, direction: Direction): NodeSide {
  return async () => {
    const tables = flightTables(ROWS, TABLES);
    const p = wrap(new Dict());
    const append = async (key: string) => {
      for (const table of tables) await p.append({ [key]: table });
    };
    if (direction === "get") await append("x");
    return {
      async run() {
        for (let pass = 0; pass < TABLE_PASSES; pass++) {
          if (direction === "get") await p.get("x");
          else await append(`x${pass}`);
        }
      },
      done: () => p.close(),
    };
  };
}

/** Reading without checks and without one dictionary for all. */
function rawTableSide(direction: Direction): NodeSide {
  return async () => {
    const tables = flightTables(ROWS, TABLES);
    const store = new Dict();
    const append = async (key: string) => {
      for (const table of tables) {
        await store.append({ [key]: frame(tableToIPC(table, "stream")) });
      }
    };
    if (direction === "get") await append("x");
    return {
      async run() {
        for (let pass = 0; pass < TABLE_PASSES; pass++) {
          if (direction === "append") await append(`x${pass}`);
          else for (const { bytes } of splitFrames(await store.get("x"), "x")) tableFromIPC(bytes);
        }
      },
      done: () => store.close(),
    };
  };
}
