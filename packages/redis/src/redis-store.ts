import {
  type EntriesOptions,
  type KeysOptions,
  type OperationOptions,
  PartdError,
} from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  checkIntegerOption,
  type ExclusivePurpose,
  type GetOptions,
  unlessAborted,
} from "@partd/core/author";
import { ClusterConnection } from "./connection/cluster.js";
import type { Connection, RedisClientLike, RedisClusterLike } from "./connection/connection.js";
import { SingleConnection } from "./connection/single.js";
import { MOST_BUCKETS, openMeta } from "./data-set.js";
import { Lease } from "./lease.js";
import { Listing } from "./read/listing.js";
import { Reader } from "./read/reader.js";
import { Session, type SessionLimits } from "./session.js";
import { unreachable } from "./trouble.js";
import { Writer } from "./write/writer.js";

export interface RedisStoreOptions {
  /** One server: `redis://host:port`, `rediss://user:password@host:port`, `unix:///path/of/socket`. */
  readonly url?: string | undefined;
  /** Some servers of a cluster, by their URLs; the others are found. User and password of the first. */
  readonly nodes?: readonly string[] | undefined;
  /**
   * A client in place of `url` or `nodes`, connected already: `createClient` or `createCluster` of
   * `@redis/client` or `redis`. The store does not close it.
   */
  readonly client?: RedisClientLike | RedisClusterLike | undefined;
  /** The name of the data set, with which all of its keys begin, without braces. Default `"partd"`. */
  readonly prefix?: string | undefined;
  /**
   * Into how many parts the data set is divided. A part lies on one server, and what an append writes to
   * it is written whole or not at all. Fixed when the data set is made: from 1 to 4,096. Default: 1 on a
   * single server, 64 in a cluster.
   */
  readonly buckets?: number | undefined;
  /**
   * How many replicas have to confirm a write before it resolves. Default 0: a failover may lose what
   * was written last, which is then told.
   */
  readonly waitReplicas?: number | undefined;
  /** Calls of a bucket that are on their way at once, from 1 to 64. Default 4. */
  readonly maxInFlight?: number | undefined;
  /**
   * After how many milliseconds without an append to it a key goes by itself. Fixed when the data set is
   * made. Default: never.
   */
  readonly expireAfter?: number | undefined;
  /**
   * How long a call is repeated while the server cannot be reached, in milliseconds: longer than a
   * failover takes. Default 30,000.
   */
  readonly retryMs?: number | undefined;
  /** After how many milliseconds without a renewal the lock is taken from its holder. Default 10,000. */
  readonly staleMs?: number | undefined;
  /**
   * After how many milliseconds the wait for the lock rejects with `ERR_PARTD_LOCK`, whose message names
   * the holder. Default 600,000.
   */
  readonly lockTimeoutMs?: number | undefined;
}

/**
 * A store in Redis or Valkey, shared by any number of processes and machines. A key is a list of chunks;
 * an append is one script call a bucket, however many keys it has.
 */
export class RedisStore extends BaseStore {
  /** What makes an append worth its round trip. */
  readonly batchBytes: number = 1 << 20;
  readonly prefix: string;
  readonly #options: RedisStoreOptions;
  readonly #limits: SessionLimits;
  readonly #connection: Connection;
  readonly #staleMs: number;
  #open: OpenParts | undefined;
  #isClosing = false;
  #isLossTold = false;

  /** @throws `ERR_PARTD_VALUE` if an option is out of its range, or it is not said which server. */
  constructor(options: RedisStoreOptions) {
    super();
    const { prefix = "partd", waitReplicas = 0, maxInFlight = 4, staleMs = 10_000 } = options;
    const { retryMs = 30_000, lockTimeoutMs = 600_000, buckets, expireAfter } = options;
    if (typeof prefix !== "string" || !/^[^{}\s]{1,200}$/.test(prefix)) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "prefix is a name of 1 to 200 characters without braces and spaces.",
      );
    }
    checkIntegerOption("waitReplicas", waitReplicas, 0, 1_000);
    checkIntegerOption("maxInFlight", maxInFlight, 1, 64);
    checkIntegerOption("retryMs", retryMs, 0, LONGEST_TIMER);
    checkIntegerOption("staleMs", staleMs, 100, LONGEST_TIMER);
    checkIntegerOption("lockTimeoutMs", lockTimeoutMs, 0, LONGEST_TIMER);
    if (buckets !== undefined) checkIntegerOption("buckets", buckets, 1, MOST_BUCKETS);
    if (expireAfter !== undefined) checkIntegerOption("expireAfter", expireAfter, 1, 2 ** 52);
    this.prefix = prefix;
    this.#options = options;
    this.#limits = { retryMs, lockTimeoutMs, waitReplicas, maxInFlight };
    this.#connection = connectionOf(options);
    this.#staleMs = staleMs;
  }

  protected override async _open(): Promise<void> {
    const connection = this.#connection;
    try {
      await connection.open();
      const meta = await openMeta(connection, this.prefix, this.#options);
      const session = new Session(connection, this.prefix, meta, this.#limits);
      const writer = new Writer(session);
      const reader = new Reader(session, writer.buckets);
      this.#open = {
        session,
        writer,
        reader,
        listing: new Listing(session, writer.buckets, reader),
        lease: new Lease(session, this.#staleMs),
      };
    } catch (error) {
      connection.close();
      throw unreachable(error, connection);
    }
  }

  protected _append(batch: Batch, options: AppendOptions): Promise<void> {
    return this.#parts.writer.append(batch, options);
  }

  protected _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    return this.#parts.reader.get(keys, options);
  }

  protected override async _stream(
    key: string,
    options: GetOptions,
  ): Promise<AsyncIterable<Uint8Array>> {
    const { reader } = this.#parts;
    const opened = await reader.open(key, options);
    return reader.stream(key, options, opened);
  }

  protected override _set(key: string, value: Uint8Array, options: AppendOptions): Promise<void> {
    if (value.byteLength === 0) return this._delete([key], options);
    return this.#parts.writer.set(key, value, options);
  }

  protected _delete(keys: readonly string[], options: OperationOptions): Promise<void> {
    return this.#parts.writer.remove(keys, options);
  }

  protected override _pop(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    const { lease, reader, session, writer } = this.#parts;
    const lock = <T>(critical: () => Promise<T>) =>
      session.token === "" ? lease.hold(critical, options) : critical();
    return writer.pop(keys, reader, lock, options);
  }

  protected async _keys(options: KeysOptions): Promise<AsyncIterable<string>> {
    return this.#parts.listing.keys(options);
  }

  protected override async _entries(options: EntriesOptions) {
    if (options.sorted || options.prefix !== undefined) return undefined;
    return this.#parts.listing.entries(options);
  }

  protected override _count(options: OperationOptions): Promise<number> {
    return this.#parts.listing.count(options);
  }

  protected override _sizes(keys: readonly string[], options: OperationOptions): Promise<number[]> {
    return this.#parts.reader.sizes(keys, options);
  }

  protected override async _flush(options: OperationOptions): Promise<void> {
    const { listing, session, writer } = this.#parts;
    await unlessAborted(writer.settled(), options.signal);
    if (this.#isClosing && this.#isLossTold) return;
    this.#isLossTold = this.#isClosing;
    session.checkLoss();
    await Promise.all(session.buckets.map((bucket) => listing.check(bucket, options)));
    this.#isLossTold = false;
  }

  protected override async _drop(options: OperationOptions): Promise<void> {
    const { listing, session, writer } = this.#parts;
    await writer.beginAnew();
    for (const bucket of session.buckets) {
      for await (const page of listing.pages(bucket, options)) await writer.remove(page, options);
    }
  }

  protected override async _close(): Promise<void> {
    await this.#parts.writer.end();
    this.#connection.close();
  }

  /** A loss is told once: the next `close` closes. */
  override async close(): Promise<void> {
    this.#isClosing = true;
    try {
      await super.close();
    } finally {
      this.#isClosing = false;
    }
  }

  /** What concerns some keys is one step of their bucket, and needs no lock. */
  protected override _exclusive<T>(
    critical: () => Promise<T>,
    options: OperationOptions,
    { operation }: ExclusivePurpose,
  ): Promise<T> {
    if (operation !== "withLock" && operation !== "drop") return critical();
    return this.#parts.lease.hold(critical, options);
  }

  get #parts(): OpenParts {
    return this.#open as OpenParts;
  }
}

/** What there is once the data set is open. */
interface OpenParts {
  readonly session: Session;
  readonly writer: Writer;
  readonly reader: Reader;
  readonly listing: Listing;
  readonly lease: Lease;
}

function connectionOf({ url, nodes, client }: RedisStoreOptions): Connection {
  if ([url, nodes, client].filter((one) => one !== undefined).length === 1) {
    if (typeof url === "string") return new SingleConnection(url);
    if (Array.isArray(nodes) && nodes.length > 0) return new ClusterConnection(nodes);
    if (typeof client?.sendCommand === "function") {
      return "slots" in client
        ? new ClusterConnection(client)
        : new SingleConnection(client as RedisClientLike);
    }
  }
  throw new PartdError(
    "ERR_PARTD_VALUE",
    "A RedisStore takes one of url (a server), nodes (URLs of a cluster's servers) and client.",
  );
}

/** In milliseconds: Node's timers end at once after longer ones. */
const LONGEST_TIMER = 2 ** 31 - 1;
