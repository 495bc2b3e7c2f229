import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { RedisStore } from "@partd/redis";
import { type DataSet, storeContract } from "@partd/testing";
import { describeReal, realPart } from "tooling/real-part";
import { Load } from "./load.js";
import { RedisCluster, type Shard } from "./redis-cluster.js";
import type { RedisServer } from "./redis-server.js";

const ROUNDS = Number(process.env.PARTD_REPEAT ?? 1);
const MINUTES = 60_000;

describeReal(realPart.redisServer(), "a cluster of six", () => {
  let cluster: RedisCluster;
  let nodes: string[] = [];

  beforeAll(async () => {
    cluster = await RedisCluster.start();
    nodes = cluster.urls;
  });
  afterAll(() => cluster.stop());

  describe("the store contract", () => {
    const open = ({ name }: DataSet) => new RedisStore({ nodes, prefix: name });
    const options = { persistent: true, shared: true, atomic: "bucket" } as const;
    const size = { largestValue: 1 << 20, manyKeys: 2_000, numRuns: 3 };
    for (const c of storeContract(open, { ...options, ...size })) test(c.name, c.run);
  });

  test("each master is pinged, and no timer of its client keeps a process alive", async () => {
    const spies = [jest.spyOn(globalThis, "setTimeout"), jest.spyOn(globalThis, "setInterval")];
    try {
      const store = new RedisStore({ nodes, prefix: "pings" });
      await store.count(); // Connects to all masters.
      const timers = () =>
        spies.flatMap(({ mock }) =>
          mock.calls.flatMap(([callback, milliseconds], i) => {
            const timer = mock.results[i]?.value as NodeJS.Timeout;
            return milliseconds === 5_000 ? { callback, isHeld: timer.hasRef() } : [];
          }),
        );
      const masters = (await cluster.shards()).map(({ master }) => master);
      const before = await Promise.all(masters.map(pingsOf));
      for (const { callback, isHeld } of timers()) if (!isHeld) (callback as () => void)();
      await store.count(); // Answered after the pings.
      for (const [i, master] of masters.entries()) {
        expect(await pingsOf(master)).toBeGreaterThan(before[i] as number);
      }
      expect(timers().filter(({ isHeld }) => isHeld)).toEqual([]);
      await store.close();
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });

  test(
    "slots that move under load lose nothing and double nothing",
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const prefix = `move-${round}`;
        const stores = [new RedisStore({ nodes, prefix }), new RedisStore({ nodes, prefix })];
        const load = new Load(stores);
        load.start();
        await load.more(100);
        const shards = await cluster.shards();
        const [from, to] = shards.map(({ master }) => master) as [RedisServer, RedisServer];
        await moveSlots(
          from,
          to,
          shards.map(({ master }) => master),
          4,
        );
        await load.more(100);
        await load.end();
        expect(load.errors).toEqual([]);
        expect(await load.faults(stores[1] as RedisStore)).toEqual([]);
        for (const store of stores) await store.close();
      }
    },
    5 * MINUTES,
  );

  test(
    "a master that is killed loses nothing that its replica had, and is not missed for long",
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const options = { nodes, prefix: `kill-${round}`, waitReplicas: 1, retryMs: 60_000 };
        const stores = [new RedisStore(options), new RedisStore(options)];
        const load = new Load(stores);
        load.start();
        await load.more(50);
        const [shard] = await cluster.shards();
        await shard?.master.kill();
        await cluster.hasSuccessor(shard?.master as RedisServer);
        await shard?.master.restart(); // As a replica, which then confirms what is written.
        await load.more(50);
        await load.end();
        await cluster.settled();
        // Until it has a replica again, a master cannot have a write confirmed; that is told.
        for (const { message } of load.errors) expect(message).toMatch(/replicas have confirmed/);
        const reader = new RedisStore({ nodes, prefix: options.prefix });
        expect(await load.faults(reader)).toEqual([]);
        for (const store of [...stores, reader]) await store.close();
      }
    },
    10 * MINUTES,
  );

  test(
    "what a failover loses is told",
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const prefix = `loss-${round}`;
        const store = new RedisStore({ nodes, prefix, retryMs: 60_000 });
        const names = Array.from({ length: 30 }, (_, i) => `k${i}`);
        const batch = (text: string) => names.map((name) => [name, Buffer.from(text)] as const);
        await store.append(batch("before"));
        const [{ master, replicas }] = (await cluster.shards()) as [Shard];
        for (const replica of replicas) replica.signal("SIGSTOP");
        // What lies in a socket the replica would still read, so it has none while this is written.
        await master.command("CLIENT", "KILL", "TYPE", "replica");
        for (let i = 0; i < 3; i++) await store.append(batch("lost"));
        await master.kill();
        for (const replica of replicas) replica.signal("SIGCONT");
        const lost = { code: "ERR_PARTD_IO", message: expect.stringContaining("has lost") };
        await expect(store.append(batch("after"))).rejects.toMatchObject(lost);
        await expect(store.get("k0")).rejects.toMatchObject(lost);
        await expect(store.flush()).rejects.toMatchObject(lost);
        await master.restart();
        await cluster.settled();
        await store.drop();
        await store.append(batch("anew"));
        await store.flush();
        expect(String(Buffer.from(await store.get("k7")))).toBe("anew");
        await store.close();
      }
    },
    10 * MINUTES,
  );
});

async function pingsOf(server: RedisServer): Promise<number> {
  const statistics = String(await server.command("INFO", "commandstats"));
  return Number(/cmdstat_ping:calls=(\d+)/.exec(statistics)?.[1] ?? 0);
}

/** Moves some of the slots that hold keys, as `redis-cli --cluster reshard` does it. */
async function moveSlots(
  from: RedisServer,
  to: RedisServer,
  masters: readonly RedisServer[],
  count: number,
): Promise<void> {
  const [source, target] = [
    await from.command("CLUSTER", "MYID"),
    await to.command("CLUSTER", "MYID"),
  ];
  const keys = (await from.command("KEYS", "*")) as string[];
  const slots = new Set<number>();
  for (const key of keys) {
    if (slots.size < count) slots.add(Number(await from.command("CLUSTER", "KEYSLOT", key)));
  }
  for (const slot of [...slots].map(String)) {
    await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(source));
    await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(target));
    for (;;) {
      const some = (await from.command("CLUSTER", "GETKEYSINSLOT", slot, "5")) as string[];
      if (some.length === 0) break;
      await from.command("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "KEYS", ...some);
    }
    for (const master of [to, from, ...masters.filter((one) => one !== to && one !== from)]) {
      await master.command("CLUSTER", "SETSLOT", slot, "NODE", String(target));
    }
  }
}
