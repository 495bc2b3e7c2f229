import { createHash } from "node:crypto";
import { RedisStore } from "@partd/redis";
import { createClient, RESP_TYPES } from "@redis/client";
import type { NodeSide, Suite } from "../run/suite.js";
import { startRedis } from "./server/process.js";
import { batchOf, bytesOf, keysOf } from "./workload.js";

const MIB = 2 ** 20;
const BATCHES = 300;
const KEYS = 1_000;
const LARGE = 256;
/** Batches on their way at once, on all sides. */
const TOGETHER = 4;
const keys = keysOf(KEYS);
const small = Buffer.from(bytesOf(100));
const large = Buffer.from(bytesOf(MIB));

/** Over a Redis on a socket file, to loops by hand over the same client. */
export const redis: Suite = {
  name: "redis",
  works: [
    {
      title: "300 batches x 1,000 keys x 100 B appended, over a socket file",
      unit: "key-writes",
      count: BATCHES * KEYS,
      rounds: 9,
      warmups: 2,
      sides: {
        RedisStore: withStore((store) => {
          const batch = batchOf(keys, small);
          return () => together(BATCHES, () => store.append(batch));
        }),
        "bare script calls": withClient(async (client) => {
          const digest = createHash("sha1").update(PUSH).digest("hex");
          await client.sendCommand(["SCRIPT", "LOAD", PUSH]);
          const call = ["EVALSHA", digest, String(KEYS), ...keys, ...keys.map(() => small)];
          return () => together(BATCHES, () => client.sendCommand(call));
        }),
        "APPEND calls": withClient(async (client) => {
          const batch = () =>
            Promise.all(keys.map((key) => client.sendCommand(["APPEND", key, small])));
          return () => together(BATCHES, batch);
        }),
      },
      targets: [{ against: "bare script calls", ratio: 0.9 }],
    },
    {
      title: "256 appends of 1 MiB to 64 keys",
      unit: "MiB",
      count: LARGE,
      rounds: 9,
      warmups: 2,
      sides: {
        RedisStore: withStore(
          (store) => () => together(LARGE, (i) => store.append([[keys[i % 64] as string, large]])),
        ),
        RPUSH: withClient(
          async (client) => () =>
            together(LARGE, (i) => client.sendCommand(["RPUSH", keys[i % 64] as string, large])),
        ),
      },
      targets: [{ against: "RPUSH", ratio: 0.5 }],
    },
    {
      title: "1,000 keys of 300 x 100 B read",
      unit: "MB",
      count: (BATCHES * KEYS * 100) / 1e6,
      rounds: 9,
      warmups: 2,
      sides: {
        RedisStore: withStore(async (store) => {
          const batch = batchOf(keys, small);
          await together(BATCHES, () => store.append(batch));
          return async () => check(await store.get(keys));
        }),
        LRANGE: withClient(async (client) => {
          const push = ["EVAL", PUSH, String(KEYS), ...keys, ...keys.map(() => small)];
          await together(BATCHES, () => client.sendCommand(push));
          const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer };
          const read = (key: string) =>
            client.sendCommand<unknown>(["LRANGE", key, "0", "-1"], { typeMapping });
          return async () => {
            const lists = (await Promise.all(keys.map(read))) as Buffer[][];
            check(lists.map((list) => Buffer.concat(list)));
          };
        }),
      },
      targets: [{ against: "LRANGE", ratio: 0.9 }],
    },
  ],
};

/** What a program would write by hand, without numbers, names and a lock. */
const PUSH = "for i = 1, #KEYS do redis.call('RPUSH', KEYS[i], ARGV[i]) end";

function check(values: readonly Uint8Array[]): void {
  const bytes = values.reduce((sum, value) => sum + value.byteLength, 0);
  if (bytes !== BATCHES * KEYS * 100) throw new Error(`${bytes} bytes were read`);
}

type Work = () => Promise<unknown>;

function withStore(prepare: (store: RedisStore) => Work | Promise<Work>): NodeSide {
  return (_directory) =>
    onRedis(async (address) => {
      const store = new RedisStore({ url: `unix://${address}` });
      await store.count();
      const run = await prepare(store);
      return { run, close: () => store.close() };
    });
}

function withClient(prepare: (client: Bare) => Promise<Work>): NodeSide {
  return (_directory) =>
    onRedis(async (address) => {
      const client = await connect(address);
      return { run: await prepare(client), close: async () => client.destroy() };
    });
}

type Bare = Awaited<ReturnType<typeof connect>>;

function connect(address: string) {
  return createClient({ socket: { path: address, tls: false } }).connect();
}

/** A round on an empty server, with the memory that each byte takes at its end. */
async function onRedis(
  open: (address: string) => Promise<{ run: Work; close(): Promise<unknown> }>,
) {
  const { address } = await startRedis();
  const admin = await connect(address);
  await admin.flushAll();
  const before = await usedMemory(admin);
  const { run, close } = await open(address);
  let perByte = "";
  return {
    run,
    figures: () => ({ "memory a byte": perByte }),
    async done() {
      const used = (await usedMemory(admin)) - before;
      perByte = (used / (used > 100 * MIB ? LARGE * MIB : BATCHES * KEYS * 100)).toFixed(2);
      await close();
      admin.destroy();
    },
  };
}

async function usedMemory(client: Bare): Promise<number> {
  return Number(/used_memory_dataset:(\d+)/.exec(await client.info("memory"))?.[1]);
}

/** Does `count` calls, a few at a time. */
async function together(count: number, call: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: TOGETHER }, lane));
}
