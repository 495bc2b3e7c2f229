import { closeSync, openSync, writeFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FileStore } from "@partd/file";
import { type NodeSide, python, type Suite, type Work } from "../run/suite.js";
import { counted, sized } from "./quick.js";
import { batchOf, bytesOf, keysOf } from "./workload.js";

const MIB = 2 ** 20;
const SINGLES = sized(20_000, 2_000);
/** Appends of 1 MiB, and MiB that are read. */
const LARGE = sized(1_024, 128);

export const file: Suite = {
  name: "file",
  works: [
    appendBatches(20, 1_000, 3),
    { ...appendBatches(20, 20_000, 1.5), isLong: true },
    {
      title: `${counted(SINGLES)} awaited single-key appends of 100 B by one process`,
      unit: "appends",
      count: SINGLES,
      sides: {
        FileStore: async (directory) => {
          const store = new FileStore(join(directory, "data"));
          const keys = keysOf(1_000);
          const value = bytesOf(100);
          return {
            async run() {
              for (let i = 0; i < SINGLES; i++) {
                await store.append([[keys[i % keys.length] as string, value]]);
              }
            },
            done: () => store.close(),
          };
        },
        "Python File": python("stores", "append_singles", {
          store: "File",
          count: SINGLES,
          keys: 1_000,
          size: 100,
        }),
      },
      targets: [{ against: "Python File", ratio: 1 }],
    },
    {
      title: `${counted(LARGE)} appends of 1 MiB over 64 keys`,
      unit: "MiB",
      count: LARGE,
      rounds: 7,
      sides: { FileStore: appendLarge, "fs.write": writeLarge },
      targets: [{ against: "fs.write", ratio: 0.9 }],
    },
    {
      title: "get of 1,000 keys of 2 kB each",
      unit: "values",
      count: 1_000,
      rounds: 15,
      warmups: 10,
      sides: {
        FileStore: getAll(1_000, 2_000),
        "Python File": python("stores", "get_all", { store: "File", keys: 1_000, size: 2_000 }),
      },
      targets: [{ against: "Python File", ratio: 2.5 }],
    },
    {
      title: `get of 64 keys of ${LARGE / 64} MiB each`,
      unit: "MiB",
      count: LARGE,
      rounds: 7,
      sides: {
        FileStore: getAll(64, (LARGE / 64) * MIB),
        "fs.readFile": async (directory) => {
          const paths = keysOf(64).map((key) => join(directory, key));
          const value = bytesOf((LARGE / 64) * MIB);
          for (const path of paths) writeFileSync(path, value);
          return {
            async run() {
              const values: Uint8Array[] = [];
              for (const path of paths) values.push(await readFile(path));
              return values;
            },
          };
        },
      },
      targets: [{ against: "fs.readFile", ratio: 0.9 }],
    },
  ],
};

function appendBatches(batches: number, keyCount: number, ratio: number): Work {
  return {
    title: `${batches} batches x ${keyCount.toLocaleString("en")} keys x 100 B appended`,
    unit: "key-writes",
    count: batches * keyCount,
    sides: {
      FileStore: async (directory) => {
        const store = new FileStore(join(directory, "data"));
        const keys = keysOf(keyCount);
        const value = bytesOf(100);
        return {
          async run() {
            for (let i = 0; i < batches; i++) await store.append(batchOf(keys, value));
          },
          done: () => store.close(),
        };
      },
      "Python File": python("stores", "append_batches", {
        store: "File",
        batches,
        keys: keyCount,
        size: 100,
      }),
    },
    targets: [{ against: "Python File", ratio }],
  };
}

function getAll(keyCount: number, size: number): NodeSide {
  return async (directory) => {
    const path = join(directory, "data");
    const keys = keysOf(keyCount);
    const value = bytesOf(size);
    // Written by another object, so that the one which reads has nothing open.
    const writer = new FileStore(path);
    for (const key of keys) await writer.append([[key, value]]);
    await writer.close();
    const store = new FileStore(path);
    return { run: () => store.get(keys), done: () => store.close() };
  };
}

async function appendLarge(directory: string) {
  const store = new FileStore(join(directory, "data"));
  const keys = keysOf(64);
  const value = bytesOf(MIB);
  return {
    async run() {
      for (let i = 0; i < LARGE; i++) await store.append([[keys[i % 64] as string, value]]);
    },
    done: () => store.close(),
  };
}

async function writeLarge(directory: string) {
  const paths = keysOf(64).map((key) => join(directory, key));
  const value = bytesOf(MIB);
  for (const path of paths) closeSync(openSync(path, "w"));
  return {
    async run() {
      const files = await Promise.all(paths.map((path) => open(path, "a")));
      for (let i = 0; i < LARGE; i++) await files[i % 64]?.write(value);
      await Promise.all(files.map((handle) => handle.close()));
    },
  };
}
