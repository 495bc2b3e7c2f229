import { Dict } from "@partd/core";
import { python, type Suite } from "../run/suite.js";
import { counted, sized } from "./quick.js";
import { batchOf, bytesOf, keysOf } from "./workload.js";

const [BATCHES, KEYS, SIZE] = [sized(1000, 500), 1000, 100];

export const dict: Suite = {
  name: "dict",
  works: [
    {
      title: `Dict: ${counted(BATCHES)} batches x 1,000 keys x 100 B, then get of all`,
      unit: "key-writes",
      count: BATCHES * KEYS,
      warmups: 3,
      sides: {
        Dict: async () => {
          const store = new Dict();
          const keys = keysOf(KEYS);
          const value = bytesOf(SIZE);
          return {
            async run() {
              for (let i = 0; i < BATCHES; i++) await store.append(batchOf(keys, value));
              return store.get(keys);
            },
            done: () => store.close(),
          };
        },
        // What Python's does: it keeps the arrays themselves, which a caller may still change.
        "Map of references": async () => mapOf((value) => value),
        // The least that a store which keeps its own bytes can do with arrays.
        "Map of copies": async () => mapOf((value) => value.slice()),
        "Python Dict": python("stores", "append_batches", {
          store: "Dict",
          batches: BATCHES,
          keys: KEYS,
          size: SIZE,
          read: true,
        }),
      },
      targets: [
        { against: "Python Dict", ratio: 1 },
        { against: "Map of copies", ratio: 1 },
      ],
    },
  ],
};

function mapOf(kept: (value: Uint8Array) => Uint8Array) {
  const values = new Map<string, Uint8Array[]>();
  const keys = keysOf(KEYS);
  const value = bytesOf(SIZE);
  return {
    async run() {
      for (let i = 0; i < BATCHES; i++) {
        for (const [key, bytes] of batchOf(keys, value)) {
          const pieces = values.get(key);
          if (pieces) pieces.push(kept(bytes));
          else values.set(key, [kept(bytes)]);
        }
      }
      return keys.map((key) => Buffer.concat(values.get(key) ?? []));
    },
    done: async () => values.clear(),
  };
}
