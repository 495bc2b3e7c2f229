import { freePort, RedisServer } from "./redis-server.js";

/** A master that serves slots, and its replicas. */
export interface Shard {
  readonly master: RedisServer;
  readonly replicas: readonly RedisServer[];
}

/** Three masters with a replica each, on free ports. */
export class RedisCluster {
  readonly servers: readonly RedisServer[];

  private constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
  }

  static async start(): Promise<RedisCluster> {
    const servers: RedisServer[] = [];
    for (let i = 0; i < 6; i++) {
      const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
      args.push("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0");
      args.push("--repl-ping-replica-period", "1");
      servers.push(await RedisServer.start(args, await freePort()));
    }
    const cluster = new RedisCluster(servers);
    const [first] = servers as [RedisServer];
    for (const [i, server] of servers.entries()) {
      await server.command("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
      if (i > 0) await server.command("CLUSTER", "MEET", "127.0.0.1", String(first.port));
    }
    const starts = [0, 5461, 10923, 16384];
    for (let i = 0; i < 3; i++) {
      const range = [String(starts[i]), String((starts[i + 1] as number) - 1)];
      await servers[i]?.command("CLUSTER", "ADDSLOTSRANGE", ...range);
    }
    await until(async () => (await cluster.nodes()).length === 6 && (await cluster.areAll("ok")));
    for (let i = 0; i < 3; i++) {
      const id = String(await servers[i]?.command("CLUSTER", "MYID"));
      const replica = servers[3 + i] as RedisServer;
      await until(async () => String(await replica.command("CLUSTER", "NODES")).includes(id));
      await replica.command("CLUSTER", "REPLICATE", id);
    }
    await cluster.settled();
    return cluster;
  }

  get urls(): string[] {
    return this.servers.map(({ port }) => `redis://127.0.0.1:${port}`);
  }

  /** The masters that serve slots, each with its replicas. */
  async shards(): Promise<Shard[]> {
    // "fail?" is what one server supposes of one that is slow to answer.
    const nodes = (await this.nodes()).filter(({ flags }) => !flags.split(",").includes("fail"));
    const serverOf = (port: number) => this.servers.find((server) => server.port === port);
    return nodes
      .filter(({ slots }) => slots > 0)
      .map(({ id, port }) => ({
        master: serverOf(port) as RedisServer,
        replicas: nodes
          .filter(({ master }) => master === id)
          .map((node) => serverOf(node.port) as RedisServer),
      }));
  }

  async nodes() {
    for (const server of this.servers) {
      if (!server.isRunning) continue;
      const text = String(await server.command("CLUSTER", "NODES"));
      return text
        .trim()
        .split("\n")
        .map((line) => {
          const [id, address, flags, master, , , , , ...slots] = line.split(" ");
          const port = Number(/:(\d+)@/.exec(address as string)?.[1]);
          return { id, port, flags: flags as string, master, slots: slots.length };
        });
    }
    throw new Error("no server runs");
  }

  /** Resolves when every server serves, and every master has a replica that is up to date. */
  async settled(): Promise<void> {
    await until(async () => {
      if (!(await this.areAll("ok"))) return false;
      const shards = await this.shards();
      if (shards.length !== 3) return false;
      for (const { master, replicas } of shards) {
        if (replicas.length === 0) return false;
        const text = String(await master.command("INFO", "replication"));
        const lags = [...text.matchAll(/slave\d+:.*state=online/g)];
        if (lags.length !== replicas.length) return false;
      }
      return true;
    });
  }

  /** Resolves when another server has taken the place of a master that was killed. */
  async hasSuccessor(killed: RedisServer): Promise<void> {
    await until(async () => {
      const shards = await this.shards();
      return shards.length === 3 && shards.every(({ master }) => master !== killed);
    });
  }

  async areAll(state: string): Promise<boolean> {
    for (const server of this.servers) {
      const info = String(await server.command("CLUSTER", "INFO"));
      if (!info.includes(`cluster_state:${state}`)) return false;
    }
    return true;
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

/** Waits for what a server reaches by itself. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > end) throw new Error("it has not come about within a minute");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
