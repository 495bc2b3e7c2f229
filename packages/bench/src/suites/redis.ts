import { createHash } from "node:crypto";
import { RedisStore } from "@partd/redis";
import { createClient, RESP_TYPES } from "@redis/client";
import type { NodeSide, Suite } from "../run/suite.js";
import { sized } from "./quick.js";
import { startRedis } from "./server/process.js";
import { batchOf, bytesOf, keysOf } from "./workload.js";

const MIB = 2 ** 20;
const BATCHES = sized(300, 100);
const KEYS = 1_000;
const LARGE = sized(256, 128);
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
      title: `${BATCHES} batches x 1,000 keys x 100 B appended, over a socket file`,
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
      title: `${LARGE} appends of 1 MiB to 64 keys`,
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
      title: `1,000 keys of ${BATCHES} x 100 B read`,
      unit: "MB",
      count: (BATCHES * KEYS * 100) / 1e6,
      rounds: 9,
      warmups: 2,
      sides: readings(keys, small, BATCHES),
      targets: [{ against: "LRANGE", ratio: 0.9 }],
    },
    {
      title: `64 keys of ${LARGE / 64} x 1 MiB read`,
      unit: "MiB",
      count: LARGE,
      rounds: 9,
      warmups: 2,
      sides: readings(keys.slice(0, 64), large, LARGE / 64),
    },
  ],
};

/** What a program would write by hand, without numbers, names and a lock. */
const PUSH = "for i = 1, #KEYS do redis.call('RPUSH', KEYS[i], ARGV[i]) end";

/** Reads keys that hold so many chunks each. */
function readings(keys: readonly string[], chunk: Buffer, chunks: number) {
  const check = (values: readonly Uint8Array[]) => {
    const bytes = values.reduce((sum, value) => sum + value.byteLength, 0);
    if (bytes !== chunks * keys.length * chunk.length) throw new Error(`${bytes} bytes were read`);
  };
  return {
    RedisStore: withStore(async (store) => {
      await together(chunks, () => store.append(batchOf(keys, chunk)));
      return async () => check(await store.get(keys));
    }),
    LRANGE: withClient(async (client) => {
      const push = ["EVAL", PUSH, String(keys.length), ...keys, ...keys.map(() => chunk)];
      await together(chunks, () => client.sendCommand(push));
      const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer };
      const read = (key: string) =>
        client.sendCommand<unknown>(["LRANGE", key, "0", "-1"], { typeMapping });
      return async () => {
        const lists = (await Promise.all(keys.map(read))) as Buffer[][];
        check(lists.map((list) => Buffer.concat(list)));
      };
    }),
  };
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
  // A call behind many others may take longer than the five seconds of the default.
  return createClient({
    socket: { path: address, tls: false },
    commandOptions: { timeout: 0 },
  }).connect();
}

/** A round on an empty server, with its CPU, and the memory that each byte takes at the end. */
async function onRedis(
  open: (address: string) => Promise<{ run: Work; close(): Promise<unknown> }>,
) {
  const { address } = await startRedis();
  const admin = await connect(address);
  await admin.flushAll();
  const before = await usedMemory(admin);
  const { run, close } = await open(address);
  const cpuBefore = await cpuSeconds(admin);
  let perByte = "";
  let cpu = "";
  return {
    run,
    figures: () => ({ "server's CPU": cpu, "memory a byte": perByte }),
    async done() {
      cpu = `${Math.round(1000 * ((await cpuSeconds(admin)) - cpuBefore))} ms`;
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

/** Of the server, since it was started. */
async function cpuSeconds(client: Bare): Promise<number> {
  const info = await client.info("cpu");
  const of = (mode: string) => Number(new RegExp(`used_cpu_${mode}:([0-9.]+)`).exec(info)?.[1]);
  return of("user") + of("sys");
}

/** Does `count` calls, a few at a time. */
async function together(count: number, call: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: TOGETHER }, lane));
}
