import { createCluster } from "@redis/client";
import {
  type Argument,
  CONNECT_MS,
  type Connection,
  connectionClosed,
  type RedisClientLike,
  type RedisClusterLike,
  ReplicasError,
  type Reply,
  reconnectDelay,
  SILENCE_MS,
  startPings,
  type Transaction,
} from "./connection.js";
import { BYTES, checkOpen, confirmed, run, TransactionProbe } from "./single.js";
import { parseUrl, type ServerOptions } from "./url.js";

/** Connections to the masters of a cluster. The client follows redirects. */
export class ClusterConnection implements Connection {
  readonly isCluster = true;
  readonly address: string;
  readonly #servers: readonly ServerOptions[];
  readonly #probe = new TransactionProbe();
  #own: ReturnType<typeof makeCluster> | undefined;
  #cluster: RedisClusterLike | undefined;
  #lastError: unknown;
  #pings: NodeJS.Timeout | undefined;
  /** When the client was last replaced, by `performance.now()`. */
  #renewed = 0;
  #renewing: Promise<void> | undefined;

  constructor(from: readonly string[] | RedisClusterLike) {
    if (!isUrls(from)) {
      this.address = "the cluster client that was given";
      this.#cluster = from;
      this.#servers = [];
      return;
    }
    const servers = from.map(parseUrl);
    this.address = servers.map(({ address }) => address).join(", ");
    this.#servers = servers.map(({ options }) => options);
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  async open(): Promise<void> {
    if (this.#servers.length === 0) return checkOpen(this.#cluster as RedisClusterLike);
    this.#own = this.#make();
    try {
      await this.#own.connect();
    } catch (error) {
      this.close();
      throw this.#lastError ?? error;
    }
    this.#cluster = this.#own as unknown as RedisClusterLike;
    this.#renewed = performance.now();
    this.#pings = startPings(() => this.#connected());
  }

  async send(key: string, command: Argument[], replicas = 0): Promise<Reply> {
    const cluster = this.#cluster;
    if (!cluster) throw connectionClosed();
    if (replicas === 0) {
      return (await cluster.sendCommand(key, false, command, BYTES)) as Reply;
    }
    // WAIT must follow the command on the same connection. A redirected command is sent again
    // through the client and reported as unconfirmed: repeating the script writes its number again,
    // for WAIT to count.
    const { master } = cluster.slots[slotOf(key)] as { master: never };
    const node = await (cluster as unknown as Nodes).nodeClient(master);
    try {
      return await confirmed(node, node.sendCommand(command, BYTES) as Promise<Reply>, replicas);
    } catch (error) {
      if (!/^(MOVED|ASK) /.test((error as Error).message)) throw error;
      await cluster.sendCommand(key, false, command, BYTES);
      throw new ReplicasError(0, replicas);
    }
  }

  mayTransact(key: string): boolean {
    const cluster = this.#cluster;
    const master = cluster?.slots[slotOf(key)]?.master;
    if (!cluster?.multi || !master) return false;
    return this.#probe.isAllowed(master, key, () => (cluster as Transacting).multi(key));
  }

  async transact(key: string, commands: readonly Argument[][], replicas = 0): Promise<Reply> {
    const cluster = this.#cluster;
    if (!cluster) throw connectionClosed();
    if (replicas === 0) return run((cluster as unknown as Transacting).multi(key), commands);
    // A redirection is an error here: the repetition is a command, which {@link send} redirects.
    const { master } = cluster.slots[slotOf(key)] as { master: never };
    const node = await (cluster as unknown as Nodes).nodeClient(master);
    return confirmed(node, run((node as NodeTransacting).multi(), commands), replicas);
  }

  /**
   * Replaces the client, at most every {@link RENEW_MS}: the new one asks any server that answers
   * for the current masters, while the old one may hold on to a dead one.
   */
  async renew(): Promise<void> {
    if (!this.#own) return;
    if (performance.now() - this.#renewed < RENEW_MS) return;
    this.#renewing ??= this.#replace().finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
  }

  async #replace(): Promise<void> {
    this.#renewed = performance.now();
    const next = this.#make();
    try {
      await next.connect();
    } catch {
      next.destroy();
      return; // The old client may recover.
    }
    const old = this.#own;
    if (!old) return next.destroy(); // The connection was closed meanwhile.
    this.#own = next;
    this.#cluster = next as unknown as RedisClusterLike;
    this.#renewed = performance.now();
    old.destroy();
  }

  #make() {
    const cluster = makeCluster(this.#servers);
    const note = (error: unknown) => {
      this.#lastError = error;
    };
    cluster.on("error", note);
    cluster.on("node-error", note);
    return cluster;
  }

  *#connected(): Generator<RedisClientLike, void, undefined> {
    for (const { client } of this.#own?.nodeByAddress.values() ?? [])
      if (client) yield client as never;
  }

  close(): void {
    clearInterval(this.#pings);
    this.#cluster = undefined;
    this.#own?.destroy();
    this.#own = undefined;
  }
}

function makeCluster(servers: readonly ServerOptions[]) {
  const { socket, ...credentials } = servers[0] as ServerOptions;
  return createCluster({
    rootNodes: servers.map((server) => ({ socket: { ...server.socket } as { host: string } })),
    defaults: {
      ...credentials,
      socket: {
        ...("tls" in socket ? { tls: true as const } : {}),
        connectTimeout: CONNECT_MS,
        socketTimeout: SILENCE_MS,
        // Give up a server that stays away: a new client looks for its successor.
        reconnectStrategy: (retries: number, cause: Error) =>
          retries < MOST_RETRIES ? reconnectDelay(retries) : new Error(cause.message, { cause }),
      },
      disableOfflineQueue: true,
      maintNotifications: "disabled" as const,
    },
    // Connect to a server only when it is needed, so that a dead one delays nothing.
    minimizeConnections: true,
    topologyRefreshOnReconnectionAttemptStrategy: 500,
  });
}

interface Transacting {
  multi(routing: string): Transaction;
}

interface NodeTransacting extends RedisClientLike {
  multi(): Transaction;
}

interface Nodes {
  nodeClient(node: unknown): Promise<RedisClientLike>;
}

const MOST_RETRIES = 8;
const RENEW_MS = 1_500;

function isUrls(from: readonly string[] | RedisClusterLike): from is readonly string[] {
  return Array.isArray(from);
}

/**
 * The slot of one of our keys: CRC-16 (XMODEM) of what is between its braces. Source: the Redis
 * cluster specification, appendix A.
 */
function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(key.slice(key.indexOf("{") + 1, key.indexOf("}")))) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc % 16_384;
}
