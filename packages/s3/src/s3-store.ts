import { type EntriesOptions, type OperationOptions, PartdError } from "@partd/core";
import {
  type AppendOptions,
  allocateBytes,
  BaseStore,
  type Batch,
  checkIntact,
  checkIntegerOption,
  checkOperation,
  type ExclusivePurpose,
  type GetOptions,
  type OptionNames,
  takeOptions,
} from "@partd/core/author";
import type { ObjectClient } from "./client.js";
import { DataSet } from "./data-set/data-set.js";
import { dropAll, SWEEP_OPTIONS, type SweepOptions, sweep } from "./data-set/sweep.js";
import { Cover } from "./format/cover.js";
import { type RequestCounts, Requests } from "./objects/requests.js";
import { type FetchOptions, fetchAll } from "./read/fetch.js";
import { lengthOf, liveKeys, type Piece, planRead, type ReadPlan } from "./read/read-plan.js";
import { EntryStream, ValueStream } from "./read/streams.js";
import { Writer } from "./write/writer.js";

export interface S3StoreOptions {
  /** Makes the requests: `awsClient(new S3Client(…))` of `@partd/s3/aws`, or an object of your own. */
  readonly client: ObjectClient;
  /** The bucket, which has to be there. */
  readonly bucket: string;
  /** The folder of the data set: the names of all its objects begin with it and a `/`. */
  readonly prefix: string;
  /**
   * The approximate bytes of values in an object. Waiting appends together fill one; larger ones
   * are cut into parts. A `BufferStore` above makes batches of this size. 65,536 to 2^30; default
   * 64 MiB.
   */
  readonly segmentBytes?: number | undefined;
  /** Objects written at once, each held in memory. 1 to 64; default 4. */
  readonly concurrency?: number | undefined;
  /** Concurrent read requests, each of at most 16 MiB. 1 to 256; default 16. */
  readonly readConcurrency?: number | undefined;
  /**
   * The largest gap, in bytes, between two ranges of an object that one request reads together.
   * Default 256 KiB.
   */
  readonly coalesceGap?: number | undefined;
  /**
   * Whether each read sees what others wrote before it began, and each append waits for others'
   * locks: one LIST each. If false, a read sees what was there when the store first looked, and
   * what this store has written. Default true.
   */
  readonly fresh?: boolean | undefined;
  /** Bytes of memory for the descriptions of segments, half of them by index. From 65,536 on; default 64 MiB. */
  readonly indexMemory?: number | undefined;
  /**
   * Milliseconds without a sign of life after which a lock's holder is passed over. All who share
   * the data set must agree. At least 100; default 30,000.
   */
  readonly leaseMs?: number | undefined;
  /** Milliseconds after which a wait for others' locks is `ERR_PARTD_LOCK`. Default 600,000. */
  readonly lockTimeoutMs?: number | undefined;
  /** The most attempts of a request. 1 to 100; default 10, over about 30 s. */
  readonly attempts?: number | undefined;
  /** Milliseconds after which one attempt is given up. At least 1; default 300,000. */
  readonly requestTimeoutMs?: number | undefined;
}

const OPTIONS: OptionNames<S3StoreOptions> = {
  client: true,
  bucket: true,
  prefix: true,
  segmentBytes: true,
  concurrency: true,
  readConcurrency: true,
  coalesceGap: true,
  fresh: "boolean",
  indexMemory: true,
  leaseMs: true,
  lockTimeoutMs: true,
  attempts: true,
  requestTimeoutMs: true,
};

/**
 * A data set of immutable objects in a bucket of S3, or of a server with its protocol. Any number
 * of stores on any number of machines append to it and read it at once.
 */
export class S3Store extends BaseStore {
  /** Bytes of an append that make it worth an object. */
  readonly batchBytes: number;
  /** `s3://<bucket>/<prefix>`. */
  readonly address: string;
  readonly #dataSet: DataSet;
  readonly #requests: Requests;
  readonly #writer: Writer;
  readonly #fetching: Omit<FetchOptions, "signal">;
  readonly #streams = new Set<ValueStream | EntryStream>();
  /** Objects that were dropped but that streams still read. */
  #doomed: string[] = [];

  /** @throws `ERR_PARTD_VALUE` if an option is missing, unknown or out of its range. */
  constructor(given: S3StoreOptions) {
    super();
    const options = takeOptions("new S3Store", given, OPTIONS, new.target !== S3Store);
    const { client, bucket, prefix, fresh = true } = checkNames(options);
    const segmentBytes = integer("segmentBytes", options, SEGMENT_BYTES, 65_536, 2 ** 30);
    const concurrency = integer("concurrency", options, 4, 1, 64);
    const readConcurrency = integer("readConcurrency", options, 16, 1, 256);
    const coalesceGap = integer("coalesceGap", options, 2 ** 18, 0, 2 ** 30);
    const indexMemory = integer("indexMemory", options, 64 * 2 ** 20, 65_536, 2 ** 40);
    const leaseMs = integer("leaseMs", options, 30_000, 100, 2 ** 31 - 1);
    const lockTimeoutMs = integer("lockTimeoutMs", options, 600_000, 0, 2 ** 31 - 1);
    const attempts = integer("attempts", options, 10, 1, 100);
    const timeoutMs = integer("requestTimeoutMs", options, 300_000, 1, 2 ** 31 - 1);
    this.batchBytes = segmentBytes;
    this.address = `s3://${bucket}/${prefix}`;
    const folder = `${prefix}/`;
    this.#requests = new Requests(client, { bucket, attempts, timeoutMs, readConcurrency });
    const lock = { leaseMs, lockTimeoutMs };
    this.#dataSet = new DataSet(this.#requests, folder, { fresh, indexMemory, ...lock });
    this.#writer = new Writer(this.#dataSet, { segmentBytes, concurrency });
    this.#fetching = { folder, coalesceGap };
  }

  /** The requests that this store has made so far, including repetitions. */
  get requests(): RequestCounts {
    return { ...this.#requests.counts };
  }

  /**
   * Declares that no one appends any more. Writes an index of this store's segments, as `close`
   * does; reads now see what is there now, without a LIST each. An append or a deletion through
   * this store ends that.
   */
  async seal(options: OperationOptions = {}): Promise<void> {
    checkOperation("seal", options);
    await this.flush(options); // Opens the store.
    this.#writer.freeMemory();
    await this.#writer.writeIndex();
    await this.#dataSet.seal(options.signal);
  }

  /**
   * Removes parts of values whose commit never came because its writer was killed. A commit under
   * way for longer than `olderThanMs` fails.
   *
   * @returns the number of objects removed.
   */
  async sweep(options: SweepOptions = {}): Promise<number> {
    checkOperation("sweep", options, SWEEP_OPTIONS);
    await this.flush({ signal: options.signal });
    return sweep(this.#dataSet, options);
  }

  /** Checks that the bucket exists and may be listed. */
  protected override _open(): Promise<void> {
    return this.#dataSet.reload();
  }

  protected override _append(batch: Batch, { signal }: AppendOptions): Promise<void> {
    return this.#writer.append(batch, signal);
  }

  protected override _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    return this.#read(keys, options, async (plan, unique) => {
      const values = new Map<string, Uint8Array>();
      const targets = unique.flatMap((key) => {
        const pieces = plan.get(key) as readonly Piece[];
        const value = allocateBytes(lengthOf(pieces));
        values.set(key, value);
        let at = 0;
        return pieces.map((piece) => {
          at += piece.length;
          return { key, piece, from: 0, into: value.subarray(at - piece.length, at) };
        });
      });
      await fetchAll(this.#requests, targets, { ...this.#fetching, signal: options.signal });
      const given = new Set<string>();
      return keys.map((key) => {
        const value = values.get(key) as Uint8Array;
        if (given.has(key)) return value.slice();
        given.add(key);
        return value;
      });
    });
  }

  protected override _sizes(keys: readonly string[], options: OperationOptions) {
    return this.#read(keys, options, async (plan) =>
      keys.map((key) => lengthOf(plan.get(key) as readonly Piece[])),
    );
  }

  protected override _stream(key: string, options: GetOptions): Promise<ValueStream> {
    return this.#read([key], options, async (plan) => {
      const pieces = plan.get(key) as readonly Piece[];
      const fetching = { ...this.#fetching, signal: options.signal };
      const onEnd = (stream: ValueStream) => this.#ended(stream);
      const stream = new ValueStream(this.#requests, key, pieces, fetching, onEnd);
      this.#streams.add(stream);
      return stream;
    });
  }

  protected override async _keys({ signal }: OperationOptions): Promise<Set<string>> {
    await this.#dataSet.refresh(signal);
    return this.#dataSet.reading(() => liveKeys(this.#dataSet, signal), signal);
  }

  protected override async _count(options: OperationOptions): Promise<number> {
    return (await this._keys(options)).size;
  }

  protected override async _entries(options: EntriesOptions): Promise<EntryStream> {
    const keys = await this._keys(options);
    const onEnd = (stream: EntryStream) => this.#ended(stream);
    const stream = await EntryStream.over(this.#dataSet, keys, options, this.#fetching, onEnd);
    this.#streams.add(stream);
    return stream;
  }

  protected override async _set(key: string, value: Uint8Array, options: AppendOptions) {
    const { length: byteLength } = value;
    if (byteLength === 0) return this._delete([key], options);
    await this.#dataSet.refresh(options.signal);
    const cover = Cover.of(this.#dataSet.segments);
    const changes = [[key, { removes: true, values: [value] }]] as const;
    const check = () => checkIntact({ keys: [key], values: [value], byteLength });
    await this.#writer.change("remove", changes, cover, check);
  }

  protected override async _delete(keys: readonly string[], options: OperationOptions) {
    const sizes = await this._sizes(keys, options);
    const there = [...new Set(keys.filter((_, i) => (sizes[i] as number) > 0))].sort();
    if (there.length === 0) return;
    const changes = there.map((key) => [key, { removes: true, values: [] }] as const);
    await this.#writer.change("remove", changes, Cover.of(this.#dataSet.segments));
  }

  protected override _flush(): Promise<void> {
    return this.#writer.idle();
  }

  protected override async _drop({ signal }: OperationOptions): Promise<void> {
    const needed = new Set<string>();
    for (const stream of this.#streams) for (const { key } of stream.segments) needed.add(key);
    const clear = (cover: Cover) => this.#writer.change("clear", [], cover);
    this.#doomed.push(...(await dropAll(this.#dataSet, clear, needed, signal)));
    this.#writer.forgetIndex();
  }

  /** Takes no lock for a deletion: it is one commit, which removes only what it has seen. */
  protected override async _exclusive<T>(
    critical: () => Promise<T>,
    { signal }: OperationOptions,
    { operation }: ExclusivePurpose,
  ): Promise<T> {
    await this.#writer.idle();
    return operation === "delete" ? critical() : this.#dataSet.exclusive(critical, signal);
  }

  protected override async _close(): Promise<void> {
    for (const stream of this.#streams) stream.close();
    this.#streams.clear();
    this.#writer.freeMemory();
    await this.#writer.writeIndex();
    await this.#removeDoomed();
  }

  /**
   * Plans a read of the keys and runs `work` on it; again if the data set was dropped meanwhile.
   */
  async #read<T>(
    keys: readonly string[],
    { signal }: OperationOptions,
    work: (plan: ReadPlan, unique: readonly string[]) => Promise<T>,
  ): Promise<T> {
    await this.#dataSet.refresh(signal);
    const unique = [...new Set(keys)].sort();
    return this.#dataSet.reading(async () => {
      return work(await planRead(this.#dataSet, unique, signal), unique);
    }, signal);
  }

  #ended(stream: ValueStream | EntryStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size === 0) void this.#removeDoomed().catch(() => {}); // `close` tries again.
  }

  async #removeDoomed(): Promise<void> {
    const doomed = this.#doomed;
    if (doomed.length === 0) return;
    await this.#requests.delete(doomed);
    this.#doomed = this.#doomed.filter((key) => !doomed.includes(key));
  }
}

const SEGMENT_BYTES = 64 * 2 ** 20;

type IntegerOptions = {
  [Name in keyof S3StoreOptions]: number | undefined extends S3StoreOptions[Name] ? Name : never;
}[keyof S3StoreOptions];

function integer(
  name: NonNullable<IntegerOptions>,
  options: S3StoreOptions,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = (options[name] as number | undefined) ?? fallback;
  checkIntegerOption(name, value, least, most);
  return value;
}

function checkNames(options: S3StoreOptions): S3StoreOptions {
  const { client, bucket, prefix } = options;
  for (const method of ["put", "get", "list", "delete"] as const) {
    if (typeof client?.[method] === "function") continue;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `client has no ${method}(); pass awsClient(new S3Client(…)) of @partd/s3/aws, or an object with put, get, list and delete.`,
    );
  }
  if (typeof bucket !== "string" || bucket === "") {
    throw new PartdError("ERR_PARTD_VALUE", "bucket is the name of a bucket that is there.");
  }
  const isName = typeof prefix === "string" && prefix.isWellFormed() && prefix.length <= 500;
  if (isName && prefix !== "" && !/^\/|\/$|\/\//.test(prefix)) return options;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    "prefix is a text of 1 to 500 characters without a slash at either end, or two in a row: the folder of the data set in the bucket.",
  );
}
