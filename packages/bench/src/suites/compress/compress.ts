import { promisify } from "node:util";
import { deflate, gunzip, gzip, inflate } from "node:zlib";
import { Blosc } from "@partd/compress-blosc";
import { BZ2 } from "@partd/compress-bz2";
import { LZ4 } from "@partd/compress-lz4";
import { Snappy } from "@partd/compress-snappy";
import { Gzip, ZLib } from "@partd/compress-zlib";
import { Zstd } from "@partd/compress-zstd";
import { Dict, type Store } from "@partd/core";
import NumcodecsBlosc from "numcodecs/blosc";
import NumcodecsLZ4 from "numcodecs/lz4";
import NumcodecsZstd from "numcodecs/zstd";
import snappy from "snappy";
import * as snappyjs from "snappyjs";
import { type NodeSide, python, type Side, type Suite, type Work } from "../../run/suite.js";
import { sized } from "../quick.js";
import { DATA_FOLDER, type DataName, realValue, VALUE_BYTES } from "./data.js";

export type Convert = (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array;

interface Engine {
  readonly name: string;
  readonly compress: Convert;
  readonly decompress: Convert;
  /** Whether it is the one that ours uses, which ours may fall behind by a twentieth. */
  readonly raw: boolean;
}

interface Entry {
  readonly name: string;
  readonly wrap: (store: Store) => Store;
  readonly engines: readonly Engine[];
  readonly python?: string;
  /** At least this many times Python's rate, one value at a time. */
  readonly ratio?: number;
  /** Values of one run. Default 24. */
  readonly values?: number;
}

const blosc = new NumcodecsBlosc(9, "blosclz");
const lz4 = new NumcodecsLZ4(1);
const zstd = new NumcodecsZstd(3);

const entries: readonly Entry[] = [
  {
    name: "ZLib",
    wrap: (store) => new ZLib(store),
    engines: [engine("node:zlib", promisify(deflate), promisify(inflate), true)],
    python: "ZLib",
    ratio: 1,
  },
  {
    name: "Gzip",
    wrap: (store) => new Gzip(store),
    engines: [engine("node:zlib", promisify(gzip), promisify(gunzip), true)],
  },
  { name: "BZ2", wrap: (store) => new BZ2(store), engines: [], python: "BZ2", values: 3 },
  {
    name: "Snappy",
    wrap: (store) => new Snappy(store),
    engines: [
      engine("snappy", snappy.compress, (bytes) => snappy.uncompress(bytes) as never, true),
      engine("snappyjs", snappyjs.compress, snappyjs.uncompress, false),
    ],
    python: "Snappy",
    ratio: 0.9,
  },
  {
    name: "Blosc",
    wrap: (store) => new Blosc(store),
    engines: [
      engine(
        "numcodecs",
        (b) => blosc.encode(b),
        (b) => blosc.decode(b),
        false,
      ),
    ],
    python: "Blosc",
  },
  {
    name: "Zstd",
    wrap: (store) => new Zstd(store),
    engines: [
      engine(
        "numcodecs",
        (b) => zstd.encode(b),
        (b) => zstd.decode(b),
        true,
      ),
    ],
  },
  {
    name: "LZ4",
    wrap: (store) => new LZ4(store),
    engines: [
      engine(
        "numcodecs",
        (b) => lz4.encode(b),
        (b) => lz4.decode(b),
        true,
      ),
    ],
  },
];

const VALUES = sized(24, 8);

export const compress: Suite = {
  name: "compress",
  works: [
    ...entries.flatMap((entry) =>
      (["text", "json", "float64"] as const).flatMap((data) => [
        work(entry, data, "compress"),
        work(entry, data, "decompress"),
      ]),
    ),
    atOnce(),
  ],
};

/** What the figures in the documentation are made of. */
export const compressEntries = entries;

function work(entry: Entry, data: DataName, direction: "compress" | "decompress"): Work {
  const values = entry.values ?? VALUES;
  const sides: Record<string, Side> = { [entry.name]: ours(entry.wrap, data, direction, values) };
  for (const one of entry.engines) {
    sides[one.name] = theirs(one[direction], one.compress, data, direction, values);
  }
  if (entry.python) sides.Python = pythonSide(entry.python, data, direction, values);
  return {
    title: `${entry.name}: ${direction} ${data}, values of up to 1 MiB one by one`,
    unit: "MB",
    count: (VALUE_BYTES[data] * values) / 1e6,
    isLong: data !== (entry.name === "Blosc" ? "float64" : "json"),
    sides,
    targets: [
      ...entry.engines.filter(({ raw }) => raw).map(({ name }) => ({ against: name, ratio: 0.95 })),
      ...(entry.ratio ? [{ against: "Python", ratio: entry.ratio }] : []),
    ],
  };
}

function atOnce(): Work {
  return {
    title: `ZLib: compress json, ${VALUES} values of 1 MiB in one append, on two cores`,
    unit: "MB",
    count: (VALUE_BYTES.json * VALUES) / 1e6,
    sides: {
      ZLib: async () => {
        const value = realValue("json");
        const p = new ZLib(new Dict());
        const batch = Array.from({ length: VALUES }, (_, i) => [`key-${i}`, value] as const);
        return { run: () => p.append(batch), done: () => p.close() };
      },
      Python: pythonSide("ZLib", "json", "compress", VALUES),
    },
    targets: [{ against: "Python", ratio: 1.6 }],
  };
}

function ours(
  wrap: (store: Store) => Store,
  data: DataName,
  direction: "compress" | "decompress",
  values: number,
): NodeSide {
  return async () => {
    const p = wrap(new Dict());
    const value = realValue(data);
    const keys = Array.from({ length: values }, (_, i) => `key-${i}`);
    if (direction === "decompress") for (const key of keys) await p.append({ [key]: value });
    return {
      async run() {
        for (const key of keys) {
          if (direction === "compress") await p.append({ [key]: value });
          else await p.get(key);
        }
      },
      done: () => p.close(),
    };
  };
}

function theirs(
  convert: Convert,
  encode: Convert,
  data: DataName,
  direction: "compress" | "decompress",
  values: number,
): NodeSide {
  return async () => {
    const value = realValue(data);
    const input = direction === "compress" ? value : await encode(value);
    return {
      async run() {
        for (let i = 0; i < values; i++) await convert(input);
      },
    };
  };
}

function pythonSide(name: string, data: DataName, direction: string, values: number): Side {
  return python("compress", "convert", {
    name,
    data,
    direction,
    folder: DATA_FOLDER,
    values,
  });
}

function engine(name: string, compress: Convert, decompress: Convert, raw: boolean): Engine {
  return { name, compress, decompress, raw };
}
