import { join } from "node:path";
import { BufferStore } from "@partd/buffer";
import { Dict, type Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { type NodeSide, python, type Suite } from "../run/suite.js";
import { counted, sized } from "./quick.js";
import { batchOf, bytesOf, keysOf } from "./workload.js";

const BATCHES = sized(1_000, 200);
/** Half of the bytes that {@link BATCHES} append. */
const BOUND = BATCHES * 50e3;

/**
 * Appends, flushes and reads everything back. The memory that the buffer takes is measured by
 * `memory/memory-curve.ts`.
 */
export const buffer: Suite = {
  name: "buffer",
  works: [
    {
      title: `${counted(BATCHES)} batches x 1,000 keys x 100 B through ${BOUND / 1e6} MB, flushed and read back`,
      unit: "key-writes",
      count: BATCHES * 1_000,
      sides: {
        "BufferStore over LogStore": gathered(log, BATCHES, 1_000),
        "BufferStore over FileStore": gathered(file, BATCHES, 1_000),
        "Python Buffer over File": python("buffers", "gather_and_read", {
          batches: BATCHES,
          keys: 1_000,
          size: 100,
          bound: BOUND,
        }),
      },
      targets: [{ against: "Python Buffer over File", ratio: 2 }],
    },
    {
      title: "ten times the records: 10,000 batches x 1,000 keys x 100 B",
      unit: "runs",
      count: 1,
      isLong: true,
      rounds: 3,
      sides: {
        "10 M key-writes": gathered(log, 10_000, 1_000),
        "1 M key-writes": gathered(log, 1_000, 1_000),
      },
      targets: [{ against: "1 M key-writes", ratio: 1 / 11 }],
    },
    {
      title: "ten times the keys: 1,000 batches x 10,000 keys x 100 B",
      unit: "runs",
      count: 1,
      isLong: true,
      rounds: 3,
      sides: {
        "10,000 keys": gathered(log, 1_000, 10_000),
        "1,000 keys": gathered(log, 1_000, 1_000),
      },
      targets: [{ against: "1,000 keys", ratio: 1 / 11 }],
    },
  ],
};

function log(directory: string): Store {
  return new LogStore(join(directory, "data"));
}

function file(directory: string): Store {
  return new FileStore(join(directory, "data"));
}

function gathered(slow: (directory: string) => Store, batches: number, keyCount: number): NodeSide {
  return async (directory) => {
    const store = new BufferStore(new Dict(), slow(directory), { availableMemory: BOUND });
    const keys = keysOf(keyCount);
    const batch = batchOf(keys, bytesOf(100));
    return {
      async run() {
        for (let i = 0; i < batches; i++) await store.append(batch);
        await store.flush();
        let bytes = 0;
        for (let i = 0; i < keyCount; i += 1_000) {
          for (const read of await store.get(keys.slice(i, i + 1_000))) bytes += read.byteLength;
        }
        if (bytes !== batches * keyCount * 100) throw new Error(`${bytes} bytes were read back`);
      },
      done: () => store.close(),
    };
  };
}
