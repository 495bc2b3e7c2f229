import { Dict } from "@partd/core";
import { python, type Suite } from "../run/suite.js";
import { batchOf, bytesOf, keysOf } from "./workload.js";

const [BATCHES, KEYS, SIZE] = [1000, 1000, 100];

export const dict: Suite = {
  name: "dict",
  works: [
    {
      title: "Dict: 1,000 batches x 1,000 keys x 100 B, then get of all",
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
        "Python Dict": python("stores", "append_batches", {
          store: "Dict",
          batches: BATCHES,
          keys: KEYS,
          size: SIZE,
          read: true,
        }),
      },
      targets: [{ against: "Python Dict", ratio: 0.7 }],
    },
  ],
};
