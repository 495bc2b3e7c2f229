import { totalmem } from "node:os";
import { join } from "node:path";
import {
  type EntriesOptions,
  type Key,
  type KeysOptions,
  type OperationOptions,
  PartdError,
} from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  checkIntegerOption,
  checkOperation,
  type GetOptions,
  type OptionNames,
  prefixText,
  takeOptions,
} from "@partd/core/author";
import {
  absolutePath,
  checkGivenPath,
  ifSystemError,
  surviveSizeLimit,
  systemError,
  TemporaryDirectory,
} from "@partd/disk";
import { type CompactReport, compact } from "./compact.js";
import { DataSet } from "./data-set/data-set.js";
import { liveKeys, oneByOne, sortedKeys } from "./index/key-listing.js";
import { indexOthers } from "./indexer.js";
import { pairsOf } from "./read/entries.js";
import { HeldStream, ValueStream } from "./read/held-stream.js";
import { planRead, sizesOf } from "./read/read-plan.js";
import { valuesOf } from "./read/values.js";
import { LONG_OPTIONS, type LongOptions, Verification, type VerifyReport } from "./verify.js";
import { Writer } from "./writer.js";

export interface LogStoreOptions {
  /**
   * Whether an append resolves only when its bytes are on the disk, so that they outlast a power
   * failure. Without it they outlast the process, also if it is killed. Default false.
   */
  readonly fsync?: boolean | undefined;
  /** Length in bytes at which a segment is finished: an integer from 1 to 2^40. Default 256 MiB. */
  readonly segmentSize?: number | undefined;
  /**
   * Skips damage that may concern any key, and reads the rest: a value may then lack bytes. Default
   * false: then `get` of any key rejects with `ERR_PARTD_CORRUPT`. A value that is itself damaged is
   * refused in both cases. `compact()` leaves out all damage, also damaged parts of values, and makes
   * an intact data set of the rest.
   */
  readonly salvage?: boolean | undefined;
  /**
   * Bytes of memory for indexes that are not on the disk yet: an integer from 65,536 on. A segment is
   * also finished when its index takes half of this. Default: a 32nd of the memory that the process may
   * use, at most 64 MiB.
   */
  readonly indexMemory?: number | undefined;
  /**
   * Whether to create the data set if there is none. Default true. If false, the first operation then
   * rejects with `ERR_PARTD_IO`, which reveals a mistyped path.
   */
  readonly create?: boolean | undefined;
  /** The folder of a temporary store. Default `os.tmpdir()`. */
  readonly dir?: string | undefined;
  /**
   * Milliseconds without a sign of life after which a store that may still run is passed over: an
   * integer of 2,000 or more, default 10,000. All stores that share the directory must agree.
   */
  readonly staleMs?: number | undefined;
  /** Milliseconds after which a wait for a lock rejects with `ERR_PARTD_LOCK`. Default 600,000. */
  readonly lockTimeoutMs?: number | undefined;
}

const OPTIONS: OptionNames<LogStoreOptions> = {
  fsync: "boolean",
  segmentSize: true,
  salvage: "boolean",
  indexMemory: true,
  create: "boolean",
  dir: "string",
  staleMs: true,
  lockTimeoutMs: true,
};

/**
 * A directory of append-only segments. Each writing store has segments of its own, so appends of
 * several stores, in one process or many, never wait for one another.
 */
export class LogStore extends BaseStore {
  /** The directory, as an absolute path. */
  readonly path: string;
  /** A batch is one record, however small its values: see `LowerStore`. */
  readonly takesSmallValues = true;
  readonly #temporary: TemporaryDirectory | undefined;
  readonly #options: LogStoreOptions;
  #open: { readonly dataSet: DataSet; readonly writer: Writer } | undefined;
  /** Streams and listings, which `close` ends. */
  readonly #streams = new Set<{ end(): Promise<void> }>();
  /** Long work beside other operations, which `close` aborts. */
  readonly #running = new Set<{ closing: AbortController; running: Promise<unknown> }>();

  /**
   * @param path the directory, created by the first operation. Without a path the store is temporary:
   *   it is removed by `close()`, at the end of the process or, after a crash, by the next temporary
   *   store.
   * @throws `ERR_PARTD_VALUE` if an option is unknown or out of range, for a path that is neither a string
   *   nor a `file:` URL, and for an `undefined` path without `dir`.
   */
  constructor(...given: [path?: string | URL | undefined, options?: LogStoreOptions | undefined]) {
    super();
    const [path, options = {}] = given;
    if (new.target === LogStore) checkGivenPath("LogStore", given);
    const taken = takeOptions("new LogStore", options, OPTIONS, new.target !== LogStore);
    const { segmentSize = SEGMENT_SIZE, staleMs, lockTimeoutMs, indexMemory, dir } = taken;
    checkIntegerOption("segmentSize", segmentSize, 1, 2 ** 40);
    if (staleMs !== undefined) checkIntegerOption("staleMs", staleMs, 2000, 2 ** 31 - 1);
    if (lockTimeoutMs !== undefined) {
      checkIntegerOption("lockTimeoutMs", lockTimeoutMs, 0, 2 ** 31 - 1);
    }
    if (path !== undefined && dir !== undefined) {
      throw new PartdError("ERR_PARTD_VALUE", "dir is for a store without a path; leave one out.");
    }
    if (indexMemory !== undefined) checkIntegerOption("indexMemory", indexMemory, 2 ** 16, 2 ** 40);
    this.#temporary = path === undefined ? new TemporaryDirectory("partd-log", dir) : undefined;
    this.path = this.#temporary?.path ?? absolutePath(path as string | URL, "LogStore");
    this.#options = taken;
  }

  protected override async _open(): Promise<void> {
    surviveSizeLimit();
    try {
      await this.#temporary?.make();
    } catch (error) {
      throw systemError({ action: "open", path: this.path }, error);
    }
    const { fsync = false, segmentSize = SEGMENT_SIZE, create = true, ...options } = this.#options;
    const mayCreate = create || this.#temporary !== undefined;
    const dataSet = new DataSet(this.path, { ...options, create: mayCreate, durable: fsync });
    const indexMemory = this.#indexMemory / 2;
    await dataSet.load();
    this.#open = { dataSet, writer: new Writer(dataSet, { fsync, segmentSize, indexMemory }) };
  }

  protected override _append(batch: Batch, { signal }: AppendOptions): Promise<void> {
    const { dataSet, writer } = this.#opened;
    const lease = dataSet.lock.enter("shared");
    if (lease) return writer.append(batch, lease, signal);
    return dataSet.lock
      .take("shared", { signal })
      .then((taken) => writer.append(batch, taken, signal));
  }

  protected override _get(keys: readonly string[], { signal }: GetOptions): Promise<Uint8Array[]> {
    return this.#shared(signal, ({ segments }) => valuesOf(segments, keys, signal));
  }

  protected override _stream(key: string, { signal }: GetOptions): Promise<ValueStream> {
    return this.#begun(signal, async (dataSet) => {
      const plan = await planRead(dataSet.segments, [key], signal);
      const stream: ValueStream = new ValueStream(plan, key, () => this.#streams.delete(stream));
      this.#streams.add(stream);
      return stream;
    });
  }

  protected override async _set(key: string, value: Uint8Array, options: AppendOptions) {
    if (value.length === 0) return this._delete([key], options);
    const values = [NOTHING, value];
    await this._append({ keys: [key, key], values, byteLength: value.length }, options);
  }

  protected override async _delete(keys: readonly string[], options: OperationOptions) {
    const { dataSet } = this.#opened;
    await dataSet.refresh(options.signal);
    const unique = [...new Set(keys)];
    const lengths = await sizesOf(dataSet.segments, unique, options.signal);
    const there = unique.filter((_, i) => (lengths[i] as number) > 0);
    if (there.length === 0) return;
    const batch = { keys: there, values: there.map(() => NOTHING), byteLength: 0 };
    await dataSet.reserve.spend(() => this._append(batch, options));
  }

  /** Merges the indexes while the keys are consumed, so memory does not grow with their number. */
  protected override async _keys({ signal, prefix }: KeysOptions): Promise<AsyncIterable<string>> {
    const read = ({ segments }: DataSet, both: AbortSignal) =>
      liveKeys(segments, both, startOf(prefix));
    return oneByOne(await this.#held(signal, true, read));
  }

  protected override async _sortedKeys({ signal, prefix }: KeysOptions) {
    const folder = join(this.path, ".partd-log");
    const read = ({ segments }: DataSet, both: AbortSignal) =>
      sortedKeys(liveKeys(segments, both, startOf(prefix)), folder, both);
    return oneByOne(await this.#held(signal, true, read));
  }

  /**
   * Reads the segments in long runs, or through the indexes if a prefix has few keys. Later appends are
   * not part of it.
   */
  protected override async _entries(options: EntriesOptions) {
    const { signal, prefix, sorted, longest = Number.POSITIVE_INFINITY } = options;
    if (sorted) return undefined;
    return this.#held(signal, prefix !== undefined, (dataSet, both) => {
      const { segments } = dataSet;
      const extents = segments.map((segment) => ({ segment, end: segment.recordsEnd }));
      return pairsOf(dataSet, extents, { start: startOf(prefix), longest, signal: both });
    });
  }

  protected override _count({ signal }: OperationOptions): Promise<number> {
    return this.#shared(signal, async (dataSet) => {
      let count = 0;
      for await (const some of liveKeys(dataSet.segments, signal)) count += some.length;
      return count;
    });
  }

  protected override _sizes(keys: readonly string[], { signal }: OperationOptions) {
    return this.#shared(signal, ({ segments }) => sizesOf(segments, keys, signal));
  }

  protected override async _drop(): Promise<void> {
    await this.#opened.dataSet.drop(this.#options.fsync ?? false);
  }

  protected override async _exclusive<T>(
    critical: () => Promise<T>,
    { signal }: OperationOptions,
  ): Promise<T> {
    const { dataSet } = this.#opened;
    let hasBegun = false;
    const run = () =>
      dataSet.exclusive({ signal }, () => {
        hasBegun = true;
        return critical();
      });
    // Taking the lock creates a file, for which a full disk has room only in the reserve.
    return dataSet.reserve.spend(run, () => !hasBegun);
  }

  protected override async _close(): Promise<void> {
    const { dataSet, writer } = this.#opened;
    this.#open = undefined;
    for (const { closing } of this.#running) closing.abort(closedMeanwhile());
    await Promise.allSettled([...this.#running].map(({ running }) => running));
    await Promise.all([...this.#streams].map((stream) => stream.end()));
    await writer.close();
    await indexOthers(dataSet);
    await dataSet.close();
    try {
      await this.#temporary?.remove();
    } catch (error) {
      throw systemError({ action: "remove", path: this.path }, error);
    }
  }

  /**
   * Puts the bytes of each key together, so that one read gets them, and frees the space of what was
   * deleted. Other stores append and read meanwhile; they wait for two short moments only. If it is
   * interrupted, the data set stays as it was. A second call, here or in another process, waits for the
   * first.
   *
   * It needs as much free space as the values take. Segments in which every byte is deleted are removed
   * first, also if there is not enough space for the rest.
   *
   * @returns what was left out, if the store has the option `salvage`.
   * @throws `ERR_PARTD_CORRUPT` if what is to be moved is damaged, unless the store has the option
   *   `salvage`; then no value is changed.
   */
  async compact(options: LongOptions = {}): Promise<CompactReport> {
    checkOperation("compact", options, LONG_OPTIONS);
    await this.flush({ signal: options.signal }); // Opens the store.
    return this.#background("compact", options, (signal) =>
      compact(this.#opened.dataSet, {
        signal,
        onProgress: options.onProgress,
        segmentSize: this.#options.segmentSize ?? SEGMENT_SIZE,
        indexMemory: this.#indexMemory / 2,
        salvage: this.#options.salvage ?? false,
        exclusive: (critical) => this.withLock(critical, { signal }),
      }),
    );
  }

  /**
   * Reads everything, deleted bytes too, and compares it with its checksums. Other stores append and
   * read meanwhile; their appends are not part of it.
   */
  async verify(options: LongOptions = {}): Promise<VerifyReport> {
    checkOperation("verify", options, LONG_OPTIONS);
    await this.flush({ signal: options.signal }); // Opens the store.
    return this.#background("verify", options, async (signal) => {
      const { dataSet } = this.#opened;
      const verification = await this.withLock(
        async () => {
          await dataSet.refresh(signal);
          return new Verification(dataSet);
        },
        { signal },
      );
      return verification.run(signal, options.onProgress);
    });
  }

  get #indexMemory(): number {
    return this.#options.indexMemory ?? defaultIndexMemory();
  }

  /** Runs long work beside other operations; `close()` aborts it. */
  async #background<T>(
    action: string,
    { signal }: OperationOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const closing = new AbortController();
    const both = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal;
    const running = work(both);
    const entry = { closing, running };
    this.#running.add(entry);
    try {
      return await running;
    } catch (error) {
      throw ifSystemError({ action: `${action} all of`, path: this.path }, error);
    } finally {
      this.#running.delete(entry);
    }
  }

  get #opened(): { readonly dataSet: DataSet; readonly writer: Writer } {
    if (!this.#open) throw closedMeanwhile();
    return this.#open;
  }

  async #shared<T>(
    signal: AbortSignal | undefined,
    operation: (dataSet: DataSet) => Promise<T>,
  ): Promise<T> {
    const { dataSet } = this.#opened;
    return dataSet.read(signal, () => operation(dataSet));
  }

  /** @param isBegun whether the first item is read before another store can get the exclusive lock. */
  #held<T>(
    signal: AbortSignal | undefined,
    isBegun: boolean,
    read: (dataSet: DataSet, signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
  ): Promise<HeldStream<T>> {
    return this.#begun(signal, async (dataSet) => {
      const stream: HeldStream<T> = new HeldStream(dataSet.segments, {
        path: this.path,
        read: (both) => read(dataSet, both),
        signal,
        done: () => this.#streams.delete(stream),
      });
      this.#streams.add(stream);
      return isBegun ? stream.begin() : stream;
    });
  }

  /**
   * Begins a read that continues after the lock is released. If the lock was lost by then, it is ended
   * at once.
   */
  async #begun<T extends { end(): Promise<void> }>(
    signal: AbortSignal | undefined,
    begin: (dataSet: DataSet) => Promise<T>,
  ): Promise<T> {
    let stream: T | undefined;
    return this.#shared(signal, async (dataSet) => {
      await stream?.end(); // Of an attempt that lost the lock.
      stream = await begin(dataSet);
      return stream;
    }).catch(async (error: unknown) => {
      await stream?.end();
      throw error;
    });
  }
}

function closedMeanwhile(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store was closed before this was done.");
}

/** The text that the encoded keys of a listing begin with. */
function startOf(prefix: Key | undefined): string | undefined {
  return prefix === undefined ? undefined : prefixText({ prefix });
}

const NOTHING = new Uint8Array(0);
const SEGMENT_SIZE = 256 * 2 ** 20;

function defaultIndexMemory(): number {
  const constrained = process.constrainedMemory?.() || Number.POSITIVE_INFINITY;
  return Math.min(64 * 2 ** 20, Math.floor(Math.min(totalmem(), constrained) / 32));
}
