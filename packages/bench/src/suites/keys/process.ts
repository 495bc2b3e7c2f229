import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { BufferStore } from "@partd/buffer";
import { Dict, type Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { ClassicLevel } from "classic-level";
import { open } from "lmdb";
import { peakMemory } from "tooling/peak-memory";
import { randomOf } from "../random.js";
import { bytesOf } from "../workload.js";
import { type Figures, mebibytes } from "./keys.js";

// One side of the suite "keys" as a whole process: fills a store, or opens one again and reads it.

const [action = "", name = "", path = "", ...numbers] = process.argv.slice(2);
const [keyCount = 0, batches = 0, batchSize = 0, size = 0] = numbers.map(Number);
const EXPECTED = batches * batchSize * size;
const value = bytesOf(size);
const random = randomOf(0x9e3779b9);

/** Names are made as they are needed: 20 million of them would be most of the memory. */
function* batch(): Generator<[string, Uint8Array]> {
  for (let i = 0; i < batchSize; i++) yield [`key-${Math.floor(random() * keyCount)}`, value];
}

const WRITE: Readonly<Record<string, () => Promise<void>>> = {
  buffer: () => fill(buffered()),
  log: () => fill(new LogStore(path)),
  file: () => fill(new FileStore(path)),
  bytes: () => fill(new LogStore(path)),
  async level() {
    const level = await openLevel();
    let counter = 0;
    for (let i = 0; i < batches; i++) {
      const operations = Array.from(batch(), ([key, value]) => ({
        type: "put" as const,
        key: counted(key, counter++),
        value,
      }));
      await level.batch(operations);
    }
    await level.close();
  },
  async lmdb() {
    const db = openLmdb();
    let counter = 0;
    for (let i = 0; i < batches; i++) {
      await db.transaction(() => {
        for (const [key, value] of batch()) db.put(counted(key, counter++), value);
      });
    }
    await db.close();
  },
};

const READ: Readonly<Record<string, () => Promise<string | undefined>>> = {
  buffer: () => readStore(buffered()),
  log: () => readStore(new LogStore(path)),
  file: () => readStore(new FileStore(path)),
  async bytes() {
    let bytes = 0;
    const buffer = Buffer.allocUnsafeSlow(2 ** 20);
    for (const file of readdirSync(path)) {
      if (!file.endsWith(".seg")) continue;
      const fd = openSync(join(path, file), "r");
      for (let count = -1; count !== 0; bytes += count) count = readSync(fd, buffer);
      closeSync(fd);
    }
    if (bytes < EXPECTED) throw new Error(`${bytes} bytes were read`);
    return undefined;
  },
  async level() {
    const start = performance.now();
    const level = await openLevel();
    const iterator = level.iterator();
    const entries = await iterator.nextv(1);
    const opened = report(start);
    const values = new Values();
    for (; entries.length > 0; entries.splice(0, Infinity, ...(await iterator.nextv(10_000)))) {
      for (const [key, value] of entries) values.add(key, value);
    }
    await iterator.close();
    await level.close();
    values.check();
    return opened;
  },
  async lmdb() {
    const start = performance.now();
    const db = openLmdb();
    let opened: string | undefined;
    const values = new Values();
    for (const { key, value } of db.getRange()) {
      opened ??= report(start);
      values.add(key, value);
    }
    await db.close();
    values.check();
    return opened;
  },
};

async function fill(store: Store): Promise<void> {
  for (let i = 0; i < batches; i++) await store.append(batch());
  await store.close();
}

async function readStore(store: Store): Promise<string> {
  const start = performance.now();
  await store.get("key-0");
  const opened = report(start);
  let bytes = 0;
  for await (const [, value] of store.entries()) bytes += value.byteLength;
  await store.close();
  if (bytes !== EXPECTED) throw new Error(`${bytes} bytes were read, not ${EXPECTED}`);
  return opened;
}

function buffered(): Store {
  return new BufferStore(new Dict(), new LogStore(path), { availableMemory: 200e6 });
}

async function openLevel() {
  const level = new ClassicLevel<string, Uint8Array>(path, { valueEncoding: "view" });
  await level.open();
  return level;
}

function openLmdb() {
  // As the others: what is written outlasts the process.
  return open<Uint8Array, string>({ path, encoding: "binary", noSync: true });
}

/** They have no append: each value has a key of its own, which comes behind those before. */
function counted(key: string, counter: number): string {
  return `${key}!${String(counter).padStart(9, "0")}`;
}

/** Joins the pieces of each key, which follow one another. */
class Values {
  #key = "";
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  add(counted: string, value: Uint8Array): void {
    const key = counted.slice(0, counted.indexOf("!"));
    if (key !== this.#key) this.#join();
    this.#key = key;
    this.#pieces.push(value);
  }

  check(): void {
    this.#join();
    if (this.#bytes !== EXPECTED) throw new Error(`${this.#bytes} bytes were read`);
  }

  #join(): void {
    this.#bytes += Buffer.concat(this.#pieces).length;
    this.#pieces = [];
  }
}

function report(start: number): string {
  return `${(performance.now() - start).toFixed(0)} ms, ${mebibytes(process.memoryUsage.rss())}`;
}

let opened: string | undefined;
if (action === "write") await WRITE[name]?.();
else opened = await READ[name]?.();
const { user, system } = process.cpuUsage();
const figures: Figures = {
  cpuSeconds: (user + system) / 1e6,
  resident: peakMemory(),
  ...(opened === undefined ? {} : { opened }),
};
console.log(JSON.stringify(figures));
