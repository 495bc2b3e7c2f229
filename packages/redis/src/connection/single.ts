import { createClient, RESP_TYPES } from "@redis/client";
import {
  type Argument,
  CONNECT_MS,
  type Connection,
  checkReplicas,
  connectionClosed,
  type RedisClientLike,
  ReplicasError,
  type Reply,
  reconnectDelay,
  SILENCE_MS,
  startPings,
  type Transaction,
  WAIT_MS,
} from "./connection.js";
import { run, TransactionProbe } from "./transaction.js";
import { parseUrl, type ServerOptions } from "./url.js";

/** A connection to one server, restored whenever it breaks. */
export class SingleConnection implements Connection {
  readonly isCluster = false;
  readonly address: string;
  readonly #server: ServerOptions | undefined;
  readonly #probe = new TransactionProbe();
  #own: ReturnType<typeof makeClient> | undefined;
  #client: RedisClientLike | undefined;
  #lastError: unknown;
  #pings: NodeJS.Timeout | undefined;

  constructor(from: string | RedisClientLike) {
    if (typeof from !== "string") {
      this.address = "the client that was given";
      this.#client = from;
      return;
    }
    const { address, options } = parseUrl(from);
    this.address = address;
    this.#server = options;
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  async open(): Promise<void> {
    if (!this.#server) return checkOpen(this.#client as RedisClientLike);
    this.#own = makeClient(this.#server);
    this.#own.on("ready", () => {
      this.#lastError = undefined;
    });
    this.#own.on("error", (error) => {
      this.#lastError = error;
    });
    try {
      await this.#own.connect();
    } catch (error) {
      this.close();
      throw error;
    }
    this.#client = this.#own as RedisClientLike;
    const client = this.#client;
    this.#pings = startPings(() => [client]);
  }

  async send(_key: string, command: Argument[], replicas = 0): Promise<Reply> {
    const client = this.#client;
    if (!client) throw connectionClosed();
    const sent = client.sendCommand(command, BYTES) as Promise<Reply>;
    return replicas === 0 ? sent : confirmed(client, sent, replicas);
  }

  mayTransact(key: string): boolean {
    const client = this.#client;
    // While it connects, a client keeps a transaction for later; commands it refuses.
    if (!client?.multi || client.isReady !== true) return false;
    return this.#probe.isAllowed(client, key, () => (client as Transacting).multi());
  }

  async transact(_key: string, commands: readonly Argument[][], replicas = 0): Promise<Reply> {
    const client = this.#client;
    if (!client) throw connectionClosed();
    const sent = run((client as Transacting).multi(), commands);
    return replicas === 0 ? sent : confirmed(client, sent, replicas);
  }

  async renew(): Promise<void> {} // The client keeps trying the one server.

  close(): void {
    clearInterval(this.#pings);
    this.#client = undefined;
    this.#own?.destroy();
    this.#own = undefined;
  }
}

function makeClient(server: ServerOptions) {
  let wasReady = false;
  const client = createClient({
    ...server,
    socket: {
      ...server.socket,
      connectTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      // Report an error of the first attempt; restore a connection that broke.
      reconnectStrategy: (retries: number, cause: Error) =>
        wasReady ? reconnectDelay(retries) : new Error(cause.message, { cause }),
    },
    disableOfflineQueue: true,
    maintNotifications: "disabled",
  });
  client.on("ready", () => {
    wasReady = true;
  });
  return client;
}

/**
 * Has replicas confirm what was just sent. WAIT must follow on the same connection: only there it
 * knows what was written.
 */
export async function confirmed(
  client: RedisClientLike,
  sent: Promise<Reply>,
  replicas: number,
): Promise<Reply> {
  const wait = client.sendCommand(["WAIT", String(replicas), String(WAIT_MS)], BYTES);
  const [reply, count] = await Promise.allSettled([sent, wait]);
  if (reply.status === "rejected") throw reply.reason;
  // The command was carried out, even if WAIT failed.
  if (count.status === "rejected") throw new ReplicasError(0, replicas);
  checkReplicas(count.value, replicas);
  return reply.value;
}

interface Transacting {
  multi(): Transaction;
}

export function checkOpen(client: { readonly isOpen: boolean }): void {
  if (client.isOpen) return;
  throw new Error("The client that was given is not connected; await its connect() first");
}

/** Bulk strings as bytes. No timer for each command, because the connection has one. */
export const BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer }, timeout: 0 };
