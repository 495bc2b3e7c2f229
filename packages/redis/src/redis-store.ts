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
  type OptionNames,
  takeOptions,
  unlessAborted,
} from "@partd/core/author";
import { ClusterConnection } from "./connection/cluster.js";
import type { Connection, RedisClientLike, RedisClusterLike } from "./connection/connection.js";
import { SingleConnection } from "./connection/single.js";
import { MOST_BUCKETS, openMeta } from "./data-set.js";
import { DataSetLock } from "./data-set-lock.js";
import { Listing } from "./read/listing.js";
import { Reader } from "./read/reader.js";
import { Session, type SessionLimits, untilReady } from "./session.js";
import { unreachable } from "./trouble.js";
import { Writer } from "./write/writer.js";

/** Options of a `RedisStore`: one of `url`, `nodes` and `client`, and any others. */
export interface RedisStoreOptions {
  /**
   * One server: `redis://host:port`, `rediss://user:password@host:port`, `unix:///path/of/socket`.
   */
  readonly url?: string | undefined;
  /**
   * URLs of some servers of a cluster; the store finds the others. User and password are those of
   * the first URL.
   */
  readonly nodes?: readonly string[] | undefined;
  /**
   * A connected client in place of `url` or `nodes`: `createClient` or `createCluster` of
   * `@redis/client` or `redis`. The store does not close it.
   */
  readonly client?: RedisClientLike | RedisClusterLike | undefined;
  /**
   * The data set's name, with which all of its keys begin; no braces or spaces. Default `"partd"`.
   */
  readonly prefix?: string | undefined;
  /**
   * The number of parts of the data set: 1 to 4,096, fixed when it is made. A part lies on one
   * server, and an append is atomic within a part. Default: 1 on a single server, 64 in a cluster.
   */
  readonly buckets?: number | undefined;
  /**
   * Replicas that must confirm a write before it resolves. Default 0: a failover may lose the
   * latest writes, which later calls then report.
   */
  readonly waitReplicas?: number | undefined;
  /** Concurrent calls to a bucket: 1 to 64. Default 4. */
  readonly maxInFlight?: number | undefined;
  /**
   * Milliseconds after its last append until a key expires. Fixed when the data set is made.
   * Default: never.
   */
  readonly expireAfter?: number | undefined;
  /**
   * Milliseconds for which a call is repeated while the server cannot be reached: more than a
   * failover takes. Default 30,000.
   */
  readonly retryMs?: number | undefined;
  /**
   * Milliseconds without a renewal after which others may take the lock. At least 100; default
   * 10,000.
   */
  readonly staleMs?: number | undefined;
  /**
   * Milliseconds after which a wait for the lock rejects with `ERR_PARTD_LOCK`, whose message names
   * the holder. Default 600,000.
   */
  readonly lockTimeoutMs?: number | undefined;
}

const OPTIONS: OptionNames<RedisStoreOptions> = {
  url: "string",
  nodes: "strings",
  client: "object",
  prefix: true,
  buckets: true,
  waitReplicas: true,
  maxInFlight: true,
  expireAfter: true,
  retryMs: true,
  staleMs: true,
  lockTimeoutMs: true,
};

/**
 * A store in Redis or Valkey, shared by any number of processes and machines. A key's value is a
 * list of chunks; an append is one script call for each bucket, whatever the number of keys.
 */
export class RedisStore extends BaseStore {
  /** Bytes that make an append worth its round trip. */
  readonly batchBytes: number = 1 << 20;
  readonly prefix: string;
  readonly #options: RedisStoreOptions;
  readonly #limits: SessionLimits;
  readonly #connection: Connection;
  readonly #staleMs: number;
  #open: OpenParts | undefined;
  #isClosing = false;
  #isLossReported = false;

  /**
   * @throws `ERR_PARTD_VALUE` if an option is unknown or out of range, or not exactly one of `url`, `nodes`
   *   and `client` is given.
   */
  constructor(given: RedisStoreOptions) {
    super();
    const options = takeOptions("new RedisStore", given, OPTIONS, new.target !== RedisStore);
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
      const open = () => openMeta(connection, this.prefix, this.#options);
      const meta = await untilReady(connection, this.#limits, open);
      const session = new Session(connection, this.prefix, meta, this.#limits);
      const writer = new Writer(session);
      const reader = new Reader(session, writer.buckets);
      this.#open = {
        session,
        writer,
        reader,
        listing: new Listing(session, writer.buckets, reader),
        lock: new DataSetLock(session, this.#staleMs),
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
    if (value.length === 0) return this._delete([key], options);
    return this.#parts.writer.set(key, value, options);
  }

  protected _delete(keys: readonly string[], options: OperationOptions): Promise<void> {
    return this.#parts.writer.remove(keys, options);
  }

  protected override _pop(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    const { lock, reader, session, writer } = this.#parts;
    const locked = <T>(critical: () => Promise<T>) =>
      session.token === "" ? lock.hold(critical, options) : critical();
    return writer.pop(keys, reader, locked, options);
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
    if (this.#isClosing && this.#isLossReported) return;
    this.#isLossReported = this.#isClosing;
    session.checkLoss();
    const written = session.buckets.filter(({ index }) => writer.hasWritten(index));
    await Promise.all(written.map((bucket) => listing.check(bucket, options)));
    this.#isLossReported = false;
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

  /** Rejects once if writes were lost; the next `close` closes. */
  override async close(): Promise<void> {
    this.#isClosing = true;
    try {
      await super.close();
    } finally {
      this.#isClosing = false;
    }
  }

  /** Takes the lock only for `withLock` and `drop`: other operations are atomic in each bucket. */
  protected override _exclusive<T>(
    critical: () => Promise<T>,
    options: OperationOptions,
    { operation }: ExclusivePurpose,
  ): Promise<T> {
    if (operation !== "withLock" && operation !== "drop") return critical();
    return this.#parts.lock.hold(critical, options);
  }

  get #parts(): OpenParts {
    return this.#open as OpenParts;
  }
}

/** The parts that exist once the data set is open. */
interface OpenParts {
  readonly session: Session;
  readonly writer: Writer;
  readonly reader: Reader;
  readonly listing: Listing;
  readonly lock: DataSetLock;
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

/** In milliseconds: longer timers of Node fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
