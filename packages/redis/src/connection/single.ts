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

/** @throws the first error among the replies; a server that refuses one command does none of them. */
export async function run(
  transaction: Transaction,
  commands: readonly Argument[][],
): Promise<Reply> {
  for (const command of commands) transaction.sendCommand(command);
  const replies = await transaction.exec().catch((error: { replies?: unknown[] }) => {
    if (Array.isArray(error.replies)) return error.replies;
    throw error;
  });
  for (const reply of replies) if (reply instanceof Error) throw reply;
  return replies as Reply[];
}

/**
 * Finds out which servers let us push in transactions: some proxies, and users without the right,
 * refuse MULTI, and would then carry out each command by itself.
 */
export class TransactionProbe {
  readonly #allowed = new WeakMap<object, boolean>();

  /**
   * Does not wait: until the server has answered it is false.
   *
   * @param server an object that stands for the server.
   * @param key one that does not exist.
   */
  isAllowed(server: object, key: string, begin: () => Transaction): boolean {
    const known = this.#allowed.get(server);
    if (known !== undefined) return known;
    this.#allowed.set(server, false);
    run(begin(), [["RPUSHX", key, ""]]).then(
      () => this.#allowed.set(server, true),
      (error: Error) => {
        if (!/^(NOPERM|ERR) /.test(error.message)) this.#allowed.delete(server); // Ask again.
      },
    );
    return false;
  }
}
