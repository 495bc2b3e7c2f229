import { PartdError } from "@partd/core";

/** A word of a command. */
export type Argument = string | Buffer;

/** What a command answers: bulk strings are Buffers, and belong to the caller. */
export type Reply = number | string | Buffer | null | Reply[];

/** A way to the server, or to all servers of a cluster. */
export interface Connection {
  readonly isCluster: boolean;
  /** For messages; without credentials. */
  readonly address: string;
  open(): Promise<void>;
  /**
   * Sends one command to the server that has `key`.
   *
   * @param replicas how many replicas have to confirm what the command wrote. Default 0.
   * @throws what the client throws, and {@link ReplicasError}.
   */
  send(key: string, command: Argument[], replicas?: number): Promise<Reply>;
  /** Looks for servers that have taken the place of others; called after a failure, before the next attempt. */
  renew(): Promise<void>;
  /** What was the matter most recently with a server that cannot be reached. */
  readonly lastError: unknown;
  close(): void;
}

/** A client of one server, as `createClient` of `@redis/client` or of `redis` makes it. */
export interface RedisClientLike {
  readonly isOpen: boolean;
  sendCommand(args: Argument[], options?: object): Promise<unknown>;
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
}

/** The command was carried out, and fewer replicas than wanted have confirmed it in time. */
export class ReplicasError extends Error {
  constructor(confirmed: number, wanted: number) {
    super(`${confirmed} of ${wanted} replicas have confirmed it`);
  }
}

/** How long a server may take to accept a connection, and to say anything on one, in milliseconds. */
export const CONNECT_MS = 5_000;
export const SILENCE_MS = 15_000;
/** How long replicas may take at a time to confirm a write, in milliseconds. */
export const WAIT_MS = 1_000;

/** Milliseconds before the next attempt to connect: more each time, and never the same for many. */
export function reconnectDelay(retries: number): number {
  return Math.min(20 * 2 ** retries, 500) * (0.5 + Math.random() / 2);
}

export function checkReplicas(confirmed: unknown, wanted: number): void {
  if (Number(confirmed) < wanted) throw new ReplicasError(Number(confirmed), wanted);
}

export function connectionClosed(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store is closed; make a new one to go on.");
}
