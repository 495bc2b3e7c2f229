import { closeSync, openSync, write } from "node:fs";
import { join } from "node:path";
import { LogStore } from "@partd/log";
import { ClassicLevel } from "classic-level";
import { open } from "lmdb";
import { type NodeSide, python, type Round, type Suite, type Work } from "../run/suite.js";
import { counted, IS_QUICK, sized } from "./quick.js";
import { batchOf, bytesOf, keysOf } from "./workload.js";

const MIB = 2 ** 20;
const BATCHES = sized(1_000, 100);
const KEYS = 1_000;
const SIZE = 100;
const SINGLES = sized(200_000, 20_000);
/** Appends of 1 MiB. */
const LARGE = sized(1_024, 128);

/** What is told of the key-value stores: they have no append, so each value has a counted key. */
export const log: Suite = {
  name: "log",
  works: [
    {
      title: `${counted(BATCHES)} batches x 1,000 keys x 100 B appended`,
      unit: "key-writes",
      count: BATCHES * KEYS,
      rounds: 3,
      sides: {
        LogStore: appendBatches(BATCHES, KEYS),
        "Python File": python("stores", "append_batches", {
          store: "File",
          batches: BATCHES,
          keys: KEYS,
          size: SIZE,
        }),
        "classic-level": async (directory) => {
          const level = await filledLevel(directory, 0);
          return { run: () => fillLevel(level, BATCHES), done: () => level.close() };
        },
        lmdb: async (directory) => {
          const db = openLmdb(directory);
          return { run: () => fillLmdb(db, BATCHES), done: () => db.close() };
        },
      },
      targets: [
        { against: "Python File", ratio: 40 },
        { against: "classic-level", ratio: 6 },
        { against: "lmdb", ratio: 20 },
      ],
    },
    {
      title: `the same${IS_QUICK ? ` ${counted(BATCHES)} batches` : ""}, all keys read back by one get`,
      unit: "values",
      count: KEYS,
      sides: {
        LogStore: async (directory) => {
          const store = await filled(directory, BATCHES, KEYS);
          return { run: () => store.get(keysOf(KEYS)), done: () => store.close() };
        },
        "LogStore, opened again": async (directory) => {
          await (await filled(directory, BATCHES, KEYS)).close();
          const store = new LogStore(join(directory, "data"));
          return { run: () => store.get(keysOf(KEYS)), done: () => store.close() };
        },
        "classic-level": async (directory) => {
          const level = await filledLevel(directory, BATCHES);
          return { run: () => readLevel(level), done: () => level.close() };
        },
        "Python File": python("stores", "get_all", {
          store: "File",
          keys: KEYS,
          size: BATCHES * SIZE,
        }),
      },
      targets: [
        { against: "classic-level", ratio: 3 },
        { against: "Python File", ratio: 1 },
      ],
    },
    {
      title: `the same${IS_QUICK ? ` ${counted(BATCHES)} batches` : ""}, after compact()`,
      unit: "values",
      count: KEYS,
      rounds: 7,
      sides: {
        LogStore: async (directory) => {
          const store = await filled(directory, BATCHES, KEYS);
          await store.compact();
          return { run: () => store.get(keysOf(KEYS)), done: () => store.close() };
        },
        "Python File": python("stores", "get_all", {
          store: "File",
          keys: KEYS,
          size: BATCHES * SIZE,
        }),
      },
      targets: [{ against: "Python File", ratio: 0.9 }],
    },
    {
      title: `${counted(LARGE)} appends of 1 MiB`,
      unit: "MiB",
      count: LARGE,
      rounds: 7,
      sides: { LogStore: appendLarge, "fs.write": writeLarge },
      targets: [{ against: "fs.write", ratio: 0.9 }],
    },
    {
      title: `${counted(SINGLES)} awaited single-key appends of 100 B`,
      unit: "appends",
      count: SINGLES,
      rounds: 3,
      sides: { LogStore: appendSingles(SINGLES, 1), "Python File": pythonSingles(SINGLES) },
      targets: [{ against: "Python File", ratio: 1.5 }],
    },
    {
      title: `${counted(SINGLES)} single-key appends of 100 B from 64 overlapping callers`,
      unit: "appends",
      count: SINGLES,
      rounds: 3,
      sides: { LogStore: appendSingles(SINGLES, 64), "Python File": pythonSingles(SINGLES) },
      targets: [{ against: "Python File", ratio: 15 }],
    },
    tenTimes("records", appendRead(1_000, KEYS), appendRead(100, KEYS)),
    tenTimes("keys", appendRead(100, 10_000), appendRead(100, 1_000)),
  ],
};

/** Ten times the work in at most eleven times the time. */
function tenTimes(what: string, large: NodeSide, small: NodeSide): Work {
  return {
    title: `ten times the ${what}, appended and read back: at most 11x the time`,
    unit: "runs",
    count: 1,
    isLong: true,
    sides: { [`10x ${what}`]: large, "1x": small },
    targets: [{ against: "1x", ratio: 1 / 11 }],
  };
}

function appendBatches(batches: number, keyCount: number): NodeSide {
  return async (directory) => {
    const store = new LogStore(join(directory, "data"));
    return { run: () => fill(store, batches, keyCount), done: () => store.close() };
  };
}

function appendRead(batches: number, keyCount: number): NodeSide {
  return async (directory) => {
    const store = new LogStore(join(directory, "data"));
    return {
      async run() {
        await fill(store, batches, keyCount);
        await store.get(keysOf(keyCount));
      },
      done: () => store.close(),
    };
  };
}

async function filled(directory: string, batches: number, keyCount: number): Promise<LogStore> {
  const store = new LogStore(join(directory, "data"));
  await fill(store, batches, keyCount);
  return store;
}

async function fill(store: LogStore, batches: number, keyCount: number): Promise<void> {
  const batch = batchOf(keysOf(keyCount), bytesOf(SIZE));
  for (let i = 0; i < batches; i++) await store.append(batch);
}

type Level = ClassicLevel<string, Uint8Array>;

async function filledLevel(directory: string, batches: number): Promise<Level> {
  const level: Level = new ClassicLevel(join(directory, "data"), { valueEncoding: "view" });
  await level.open();
  await fillLevel(level, batches);
  return level;
}

async function fillLevel(level: Level, batches: number): Promise<void> {
  const keys = keysOf(KEYS);
  const value = bytesOf(SIZE);
  for (let i = 0; i < batches; i++) {
    const counter = String(i).padStart(8, "0");
    await level.batch(
      keys.map((key) => ({ type: "put" as const, key: `${key}!${counter}`, value })),
    );
  }
}

async function readLevel(level: Level): Promise<Map<string, Uint8Array>> {
  const pieces = new Map<string, Uint8Array[]>();
  const iterator = level.iterator();
  for (;;) {
    const entries = await iterator.nextv(10_000);
    if (entries.length === 0) break;
    for (const [key, value] of entries) {
      const name = key.slice(0, key.indexOf("!"));
      const list = pieces.get(name);
      if (list) list.push(value);
      else pieces.set(name, [value]);
    }
  }
  await iterator.close();
  return new Map([...pieces].map(([key, list]) => [key, Buffer.concat(list)]));
}

function openLmdb(directory: string) {
  return open<Uint8Array, string>({
    path: join(directory, "data"),
    encoding: "binary",
    noSync: true, // As the others: what is written outlasts the process.
  });
}

async function fillLmdb(db: ReturnType<typeof openLmdb>, batches: number): Promise<void> {
  const keys = keysOf(KEYS);
  const value = bytesOf(SIZE);
  for (let i = 0; i < batches; i++) {
    const counter = String(i).padStart(8, "0");
    await db.transaction(() => {
      for (const key of keys) db.put(`${key}!${counter}`, value);
    });
  }
}

async function appendLarge(directory: string): Promise<Round> {
  const store = new LogStore(join(directory, "data"));
  const keys = keysOf(64);
  const value = bytesOf(MIB);
  return {
    async run() {
      for (let i = 0; i < LARGE; i++) await store.append([[keys[i % 64] as string, value]]);
    },
    done: () => store.close(),
  };
}

async function writeLarge(directory: string): Promise<Round> {
  const value = bytesOf(MIB);
  const file = openSync(join(directory, "data"), "w");
  return {
    async run() {
      for (let i = 0; i < LARGE; i++) {
        await new Promise<void>((resolve, reject) =>
          write(file, value, 0, MIB, i * MIB, (error) => (error ? reject(error) : resolve())),
        );
      }
    },
    async done() {
      closeSync(file);
    },
  };
}

function appendSingles(count: number, callers: number): NodeSide {
  return async (directory) => {
    const store = new LogStore(join(directory, "data"));
    const keys = keysOf(KEYS);
    const value = bytesOf(SIZE);
    let next = 0;
    const caller = async () => {
      for (let i = next++; i < count; i = next++) {
        await store.append([[keys[i % KEYS] as string, value]]);
      }
    };
    return {
      run: () => Promise.all(Array.from({ length: callers }, caller)),
      done: () => store.close(),
    };
  };
}

function pythonSingles(count: number) {
  return python("stores", "append_singles", { store: "File", count, keys: KEYS, size: SIZE });
}
