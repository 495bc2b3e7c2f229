import { PartdError } from "@partd/core";

/** An argument of a command. */
export type Argument = string | Buffer;

/** A command's reply. Bulk strings are Buffers, and belong to the caller. */
export type Reply = number | string | Buffer | null | Reply[];

/** A connection to a server, or to all servers of a cluster. */
export interface Connection {
  readonly isCluster: boolean;
  /** The address without credentials, for messages. */
  readonly address: string;
  open(): Promise<void>;
  /**
   * Sends one command to the server that holds `key`.
   *
   * @param replicas replicas that must confirm what the command wrote. Default 0.
   * @throws the client's errors, and {@link ReplicasError}.
   */
  send(key: string, command: Argument[], replicas?: number): Promise<Reply>;
  /**
   * Whether {@link transact} may push. False until the server has answered.
   *
   * @param key one that does not exist.
   */
  mayTransact(key: string): boolean;
  /**
   * Sends commands that are carried out as one, or none of them if the server refuses one. Of errors
   * in their replies, the first is thrown.
   *
   * @param replicas as in {@link send}.
   */
  transact(key: string, commands: readonly Argument[][], replicas?: number): Promise<Reply>;
  /**
   * Looks for servers that have replaced others. Call it after a failure, before the next attempt.
   */
  renew(): Promise<void>;
  /** The last error of a server that cannot be reached. */
  readonly lastError: unknown;
  close(): void;
}

/** Commands to be carried out as one, as `multi()` of a client begins it. */
export interface Transaction {
  sendCommand(command: Argument[]): unknown;
  exec(): Promise<unknown[]>;
}

/** A client of one server, as `createClient` of `@redis/client` or of `redis` makes it. */
export interface RedisClientLike {
  readonly isOpen: boolean;
  readonly isReady?: boolean;
  sendCommand(args: Argument[], options?: object): Promise<unknown>;
  multi?(): Transaction;
}

/** A client of a cluster, as `createCluster` of `@redis/client` or of `redis` makes it. */
export interface RedisClusterLike {
  readonly isOpen: boolean;
  readonly slots: readonly { readonly master: unknown }[];
  sendCommand(
    firstKey: string | Buffer | undefined,
    isReadonly: boolean | undefined,
    args: Argument[],
    options?: object,
  ): Promise<unknown>;
  multi?(routing: string): Transaction;
}

/** The command was carried out, but fewer replicas than wanted confirmed it in time. */
export class ReplicasError extends Error {
  constructor(confirmed: number, wanted: number) {
    super(`${confirmed} of ${wanted} replicas have confirmed it`);
  }
}

/** Milliseconds that a server may take to accept a connection, and to send anything on one. */
export const CONNECT_MS = 5_000;
export const SILENCE_MS = 15_000;
/** Milliseconds that one WAIT gives replicas to confirm a write. */
export const WAIT_MS = 1_000;

/**
 * Milliseconds before the next attempt to connect: growing, and random, so that clients do not
 * reconnect all at once.
 */
export function reconnectDelay(retries: number): number {
  return Math.min(20 * 2 ** retries, 500) * (0.5 + Math.random() / 2);
}

/**
 * Pings each client now and then until the timer is cleared: a connection without traffic would
 * count as broken. The clients' own `pingInterval` goes on for ever, and keeps the process alive,
 * where a client is destroyed while it reconnects.
 */
export function startPings(clients: () => Iterable<RedisClientLike>): NodeJS.Timeout {
  const ping = () => {
    for (const client of clients()) {
      // Its failure is that of the connection, of which an event tells.
      if (client.isReady) client.sendCommand(["PING"]).catch(() => {});
    }
  };
  return setInterval(ping, SILENCE_MS / 3).unref();
}

export function checkReplicas(confirmed: unknown, wanted: number): void {
  if (Number(confirmed) < wanted) throw new ReplicasError(Number(confirmed), wanted);
}

export function connectionClosed(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store is closed; make a new one to go on.");
}
