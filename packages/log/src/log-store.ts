import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type OperationOptions, PartdError } from "@partd/core";
import {
  type AppendOptions,
  allocateBytes,
  BaseStore,
  type Batch,
  checkIntegerOption,
  type GetOptions,
} from "@partd/core/author";
import { TemporaryDirectory } from "@partd/disk";
import { compact, type Progress } from "./compact.js";
import { DataSet } from "./data-set.js";
import { describeOthers } from "./describe.js";
import { gather } from "./gather.js";
import { NONE } from "./growing-index.js";
import { ifSystemError, ioError } from "./io-error.js";
import { isLive, liveKeys } from "./live-keys.js";
import { planRead } from "./read-plan.js";
import { UNKNOWN_KEY } from "./scan.js";
import { ValueStream } from "./stream.js";
import { Verification, type VerifyReport } from "./verify.js";
import { Writer } from "./writer.js";

export interface LogStoreOptions {
  /**
   * Whether an append resolves only when its bytes are on the disk itself, so that they outlast a
   * power failure. Without it they outlast the process, killed or not. Default false.
   */
  readonly fsync?: boolean | undefined;
  /**
   * Length in bytes from which on a segment is not added to: an integer from 1 to 2^40. Default
   * 256 MiB.
   */
  readonly segmentSize?: number | undefined;
  /**
   * Reads on where a segment is damaged so that it cannot be known which keys are concerned, and
   * leaves out what was there. Default false: then `get` is `ERR_PARTD_CORRUPT` for every key.
   */
  readonly salvage?: boolean | undefined;
}

export interface LongOptions extends OperationOptions {
  /** Called from time to time with the bytes that are done and those in all. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * A directory of append-only segments. Each store that writes has segments of its own, so that
 * writers, in one process or many, never wait for one another.
 */
export class LogStore extends BaseStore {
  /** The directory, as an absolute path. */
  readonly path: string;
  readonly #temporary: TemporaryDirectory | undefined;
  readonly #options: LogStoreOptions;
  #open: { readonly dataSet: DataSet; readonly writer: Writer } | undefined;
  readonly #streams = new Set<ValueStream>();
  readonly #running = new Set<{ closing: AbortController; running: Promise<unknown> }>();
  /** Within `_exclusive`, where no other operation runs. */
  #alone = false;

  /**
   * @param path the directory, which is made with the first operation if it is not there; without
   *   one, a temporary one, which goes with `close()`, with the process or, after a crash, with the
   *   next temporary store.
   * @throws `ERR_PARTD_VALUE` if an option is out of its range.
   */
  constructor(path?: string | URL, options: LogStoreOptions = {}) {
    super();
    const { segmentSize = SEGMENT_SIZE } = options;
    checkIntegerOption("segmentSize", segmentSize, 1, 2 ** 40);
    this.#temporary = path === undefined ? new TemporaryDirectory("partd-log") : undefined;
    this.path = this.#temporary?.path ?? absolute(path as string | URL);
    this.#options = options;
  }

  protected override async _open(): Promise<void> {
    try {
      await this.#temporary?.make();
    } catch (error) {
      throw ioError("open", this.path, error);
    }
    const { fsync = false, segmentSize = SEGMENT_SIZE, salvage = false } = this.#options;
    const dataSet = new DataSet(this.path, { durable: fsync, salvage });
    this.#open = { dataSet, writer: new Writer(dataSet, { fsync, segmentSize }) };
  }

  protected override _append(batch: Batch, { signal }: AppendOptions): Promise<void> {
    const { dataSet, writer } = this.#opened;
    if (this.#alone) return writer.append(batch, false, signal);
    if (dataSet.access.enter()) return writer.append(batch, true, signal);
    return dataSet.access.enterLater(signal).then(() => writer.append(batch, true, signal));
  }

  protected override _get(keys: readonly string[], { signal }: GetOptions): Promise<Uint8Array[]> {
    return this.#shared(signal, async (dataSet) => {
      await this.#refresh(signal);
      const slots = new Map<string, number>();
      for (const key of keys) if (!slots.has(key)) slots.set(key, slots.size);
      const texts = [...slots.keys()];
      const plan = await planRead(
        dataSet.segments,
        texts.map((key) => dataSet.keys.find(key) ?? NONE),
        signal,
      );
      const values = texts.map((_, slot) => allocateBytes(plan.lengths[slot] as number));
      for (const part of plan.segments) await gather(part, values, texts, signal);
      if (texts.length === keys.length) return values;
      const given = new Set<number>();
      return keys.map((key) => {
        const slot = slots.get(key) as number;
        const value = values[slot] as Uint8Array;
        if (given.has(slot)) return value.slice();
        given.add(slot);
        return value;
      });
    });
  }

  protected override _stream(key: string, { signal }: GetOptions): Promise<ValueStream> {
    return this.#shared(signal, async (dataSet) => {
      await this.#refresh(signal);
      const plan = await planRead(dataSet.segments, [dataSet.keys.find(key) ?? NONE], signal);
      const stream: ValueStream = new ValueStream(plan, key, () => this.#streams.delete(stream));
      this.#streams.add(stream);
      return stream;
    });
  }

  protected override async _set(key: string, value: Uint8Array, options: AppendOptions) {
    if (value.byteLength === 0) return this._delete([key], options);
    const values = [NOTHING, value];
    await this._append({ keys: [key, key], values, byteLength: value.byteLength }, options);
  }

  protected override async _delete(keys: readonly string[], options: OperationOptions) {
    const { dataSet } = this.#opened;
    await dataSet.refresh(options.signal);
    const there = [...new Set(keys)].filter((key) => {
      const number = dataSet.keys.find(key);
      return number !== undefined && isLive(dataSet.segments, number);
    });
    if (there.length === 0) return;
    const batch = { keys: there, values: there.map(() => NOTHING), byteLength: 0 };
    await dataSet.reserve.spend(() => this._append(batch, options));
  }

  protected override _keys({ signal }: OperationOptions): Promise<string[]> {
    return this.#shared(signal, async (dataSet) => {
      await this.#refresh(signal);
      return (await liveKeys(dataSet.segments))
        .map((key) => dataSet.keys.text(key))
        .filter((text) => text !== UNKNOWN_KEY);
    });
  }

  protected override async _drop(): Promise<void> {
    const { dataSet } = this.#opened;
    const entry = ["drop", String(dataSet.clock())] as const;
    const durable = this.#options.fsync ?? false;
    await dataSet.reserve.spend(async () => dataSet.announce([entry], durable));
    // Also those that a crash has left.
    try {
      for (const name of dataSet.unlisted()) rmSync(join(dataSet.directory, name), { force: true });
    } catch (error) {
      throw ioError("remove all files of", this.path, error);
    }
    dataSet.condense();
  }

  protected override _exclusive<T>(
    critical: () => Promise<T>,
    { signal }: OperationOptions,
  ): Promise<T> {
    const { dataSet } = this.#opened;
    return dataSet.access.exclusive(async () => {
      this.#alone = true;
      try {
        dataSet.sync();
        return await critical();
      } finally {
        this.#alone = false;
      }
    }, signal);
  }

  protected override async _close(): Promise<void> {
    const { dataSet, writer } = this.#opened;
    this.#open = undefined;
    for (const { closing } of this.#running) closing.abort(closedMeanwhile());
    await Promise.allSettled([...this.#running].map(({ running }) => running));
    await Promise.all([...this.#streams].map((stream) => stream.end()));
    await writer.close();
    await describeOthers(dataSet);
    dataSet.close();
    try {
      await this.#temporary?.remove();
    } catch (error) {
      throw ioError("remove", this.path, error);
    }
  }

  /**
   * Lays the bytes of each key together, so that they are read in one go, and gives the space of
   * what was deleted back. Others append and read meanwhile; they wait for two short moments only.
   * Whatever interrupts it, the data set stays as it was. A second call, here or in another
   * process, waits for the first.
   *
   * Needs as much free space as the values take.
   *
   * @throws `ERR_PARTD_CORRUPT` if what is to be moved is damaged; nothing is changed then.
   */
  async compact(options: LongOptions = {}): Promise<void> {
    await this.flush(options); // Opens the store.
    await this.#background("compact", options, (signal) =>
      compact(this.#opened.dataSet, {
        signal,
        onProgress: options.onProgress,
        segmentSize: this.#options.segmentSize ?? SEGMENT_SIZE,
        salvage: this.#options.salvage ?? false,
        alone: (critical) => this.withLock(critical, { signal }),
      }),
    );
  }

  /**
   * Reads everything, also what no key refers to any more, and compares it with its checksums.
   * Others append and read meanwhile; what they append is not part of it.
   */
  async verify(options: LongOptions = {}): Promise<VerifyReport> {
    await this.flush(options); // Opens the store.
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

  /** Runs what goes on beside other operations, and is given up when the store is closed. */
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
      throw ifSystemError(`${action} all of`, this.path, error);
    } finally {
      this.#running.delete(entry);
    }
  }

  get #opened(): { readonly dataSet: DataSet; readonly writer: Writer } {
    if (!this.#open) throw closedMeanwhile();
    return this.#open;
  }

  /** Runs an operation that others may overlap, but none that wants the data set alone. */
  async #shared<T>(
    signal: AbortSignal | undefined,
    operation: (dataSet: DataSet) => Promise<T>,
  ): Promise<T> {
    const { dataSet } = this.#opened;
    if (this.#alone) return operation(dataSet);
    const { access } = dataSet;
    if (!access.enter()) await access.enterLater(signal);
    try {
      return await operation(dataSet);
    } finally {
      access.leave();
    }
  }

  async #refresh(signal: AbortSignal | undefined): Promise<void> {
    const { dataSet } = this.#opened;
    await dataSet.refresh(signal);
    if (!this.#options.salvage) dataSet.checkReadable();
  }
}

function absolute(path: string | URL): string {
  if (typeof path === "string" && path !== "") return resolve(path);
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  throw new PartdError(
    "ERR_PARTD_IO",
    `A LogStore's path is a string or a file: URL, not ${JSON.stringify(String(path))}.`,
  );
}

function closedMeanwhile(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store was closed before this was done.");
}

const NOTHING = new Uint8Array(0);

const SEGMENT_SIZE = 256 * 2 ** 20;
