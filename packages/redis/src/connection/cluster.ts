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
} from "./connection.js";
import { BYTES, checkOpen, sendAndWait } from "./single.js";
import { slotOf } from "./slot.js";
import { parseUrl, type ServerOptions } from "./url.js";

/** Connections to the masters of a cluster. The client follows redirects. */
export class ClusterConnection implements Connection {
  readonly isCluster = true;
  readonly address: string;
  readonly #servers: readonly ServerOptions[];
  #own: ReturnType<typeof makeCluster> | undefined;
  #cluster: RedisClusterLike | undefined;
  #lastError: unknown;
  /** When the client was last made anew, by `performance.now()`. */
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
  }

  async send(key: string, command: Argument[], replicas = 0): Promise<Reply> {
    const cluster = this.#cluster;
    if (!cluster) throw connectionClosed();
    if (replicas === 0) {
      return (await cluster.sendCommand(key, false, command, BYTES)) as Reply;
    }
    // Behind one another on one connection, as WAIT needs it. What was redirected is repeated so:
    // a script that finds itself carried out writes its number again.
    const { master } = cluster.slots[slotOf(key)] as { master: never };
    const node = await (cluster as unknown as Nodes).nodeClient(master);
    try {
      return await sendAndWait(node, command, replicas);
    } catch (error) {
      if (!/^(MOVED|ASK) /.test((error as Error).message)) throw error;
      await cluster.sendCommand(key, false, command, BYTES);
      throw new ReplicasError(0, replicas);
    }
  }

  /**
   * Makes the client anew, at most once in a while: it then asks any server that answers who the
   * masters are, where the old one may hold on to one that is gone.
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
      return; // The old one may recover.
    }
    const old = this.#own;
    if (!old) return next.destroy(); // Closed meanwhile.
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

  close(): void {
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
        // A server that stays away is given up: a new client looks for its successor.
        reconnectStrategy: (retries: number, cause: Error) =>
          retries < MOST_RETRIES ? reconnectDelay(retries) : new Error(cause.message, { cause }),
      },
      pingInterval: SILENCE_MS / 3,
      disableOfflineQueue: true,
      maintNotifications: "disabled" as const,
    },
    // A server that is named and dead is no reason to wait before it is needed.
    minimizeConnections: true,
    topologyRefreshOnReconnectionAttemptStrategy: 500,
  });
}

interface Nodes {
  nodeClient(node: unknown): Promise<RedisClientLike>;
}

const MOST_RETRIES = 8;
const RENEW_MS = 1_500;

function isUrls(from: readonly string[] | RedisClusterLike): from is readonly string[] {
  return Array.isArray(from);
}
