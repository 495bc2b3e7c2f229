import { unlessAborted } from "../async/abort.js";
import { Pace } from "../async/pace.js";
import { isPartdError, PartdError } from "../errors.js";
import { decodeKey, describeKey, encodeKey, type Key, sameKey } from "../keys/keys.js";
import { describeArgument, type OptionNames, takeOptions } from "../option-names.js";
import { BatchEntries, columnsOf, isBytes } from "../store/batch.js";
import { Decorator } from "../store/decorator.js";
import { checkLongest } from "../store/listing.js";
import type {
  Entries,
  EntriesOptions,
  GetOptions,
  IsetOptions,
  LowerStore,
  OperationOptions,
  Store,
} from "../store/store.js";
import type { Codec } from "./codec.js";
import { decodeAhead, isPromise } from "./decode-ahead.js";
import { eachFrame, FRAME_HEADER, type Frame, frame, streamFrames } from "./frame.js";
import { knownFormat } from "./known-formats.js";
import { isCopying, Scratch } from "./scratch.js";

/** Options of `Encode`, and so of every store of a codec. */
export interface EncodeOptions {
  /**
   * How many values a codec that works asynchronously encodes or decodes at once: 1 or more, also
   * `Infinity`. Default 8.
   */
  readonly concurrency?: number | undefined;
}

/** The names of these options, for a codec to add its own to. */
export const ENCODE_OPTIONS: OptionNames<EncodeOptions> = { concurrency: true };

/**
 * A store of a codec's values over a store of bytes: each appended value is encoded to one frame,
 * and `get` decodes and joins a key's frames. The bytes are those of Python's `partd.Encode`.
 *
 * @example new Encode(new Dict(), jsonCodec())
 */
export class Encode<V> extends Decorator<V, Encode<V>> {
  /** The preference of the store below: see `LowerStore`. */
  readonly batchBytes: number | undefined;
  readonly #codec: Codec<V>;
  readonly #concurrency: number;

  /**
   * @throws `ERR_PARTD_VALUE` if `store` is not a store of bytes, `codec` not a codec, or `concurrency`
   *   not a number of 1 or more.
   */
  constructor(store: Store, codec: Codec<V>, options: EncodeOptions = {}) {
    const taken = takeOptions("new Encode", options, ENCODE_OPTIONS, new.target !== Encode);
    super(store);
    checkCodec(codec);
    this.batchBytes = (store as LowerStore | undefined)?.batchBytes;
    this.#codec = codec;
    this.#concurrency = checkConcurrency(taken.concurrency ?? 8);
  }

  /** False for a compression, whose values are bytes. */
  get holdsValues(): boolean {
    return !isBytes(this.#codec.join([]));
  }

  /** @throws `ERR_PARTD_CODEC` if the codec cannot carry a value; then nothing is appended. */
  override async append(data: Entries<V>, options?: OperationOptions): Promise<void> {
    const { keys, values } = columnsOf(data);
    await this._calls.shared(async () => {
      const frames = await this.#map(values, options, (value, i) =>
        this.#encode(keys[i] as string, value),
      );
      let byteLength = 0;
      for (const { byteLength: bytes } of frames) byteLength += bytes;
      const batch = new BatchEntries({ keys, values: frames, byteLength });
      await (this._store as LowerStore).append(batch, { ...options, owned: true });
    }, options);
  }

  /**
   * Yields the values as they were appended. With an asynchronous codec up to `concurrency` of
   * them, and up to about 4 MiB of frames, are decoded ahead.
   */
  override stream(key: Key, options?: GetOptions): AsyncGenerator<V, void, undefined> {
    return decodeAhead(
      () => streamFrames(this._store.stream(key, options), key),
      (framed) => this.#decode(framed),
      this.#concurrency,
      options?.signal,
    );
  }

  override async iset(key: Key, value: V, options?: IsetOptions): Promise<void> {
    await this._calls.shared(async () => {
      const encoded = this.#encode(encodeKey(key), value);
      const framed = isPromise(encoded) ? await unlessAborted(encoded, options?.signal) : encoded;
      await this._store.iset(key, framed, options);
    }, options);
  }

  /**
   * A value of more than `longest` bytes comes in several entries, each joined from some of its
   * frames.
   */
  override async *entries(
    options: EntriesOptions = {},
  ): AsyncGenerator<readonly [Key, V], void, undefined> {
    if (checkLongest(options) < Number.POSITIVE_INFINITY) {
      yield* this.#longEntries(options, options.longest as number);
      return;
    }
    let keys: Key[] = [];
    let raw: Uint8Array[] = [];
    let bytes = 0;
    for await (const [key, value] of this._store.entries(options)) {
      keys.push(key);
      raw.push(value);
      bytes += value.byteLength;
      if (bytes < TOGETHER_BYTES && keys.length < TOGETHER_KEYS) continue;
      yield* await this.#decodeEntries(keys, raw, options);
      keys = [];
      raw = [];
      bytes = 0;
    }
    yield* await this.#decodeEntries(keys, raw, options);
  }

  protected override async _get(keys: readonly Key[], options?: GetOptions): Promise<V[]> {
    if (options?.allocate !== undefined || !isCopying(this.#codec)) {
      return this.#decodeAll(keys, await this._store.get(keys, options), options);
    }
    const scratch = new Scratch();
    const raw = await this._store.get(keys, {
      ...options,
      allocate: scratch.allocate,
    } as GetOptions);
    const values = await this.#decodeAll(keys, raw, options);
    scratch.giveBack(); // Not after an error: a read or a decoder may go on.
    return values;
  }

  protected override _over(store: Store): Encode<V> {
    return new Encode(store, this.#codec, { concurrency: this.#concurrency });
  }

  #encode(text: string, value: V): Uint8Array | Promise<Uint8Array> {
    try {
      const encoded = this.#codec.encode(value);
      if (!isPromise(encoded)) return frameOf(encoded);
      return encoded.then(frameOf).catch((error: unknown) => {
        throw this.#encodeError(text, error);
      });
    } catch (error) {
      throw this.#encodeError(text, error);
    }
  }

  #decode({ bytes, key, offset }: Frame): V | Promise<V> {
    try {
      const decoded = this.#codec.decode(bytes);
      if (!isPromise(decoded)) return decoded;
      return decoded.catch((error: unknown) => {
        throw this.#decodeError({ bytes, key, offset }, error);
      });
    } catch (error) {
      throw this.#decodeError({ bytes, key, offset }, error);
    }
  }

  /** Decodes the frames of all keys side by side, because most keys may have only one frame. */
  async #decodeAll(
    keys: readonly Key[],
    raw: Uint8Array[],
    options: OperationOptions | undefined,
  ): Promise<V[]> {
    /** How many frames there are up to the end of each key's value. */
    const ends: number[] = [];
    const frames = framesOf(keys, raw, ends);
    const decoded = await this.#map(frames, options, (framed) => this.#decode(framed));
    return keys.map((key, i) => this.#join(key, decoded.slice(ends[i - 1] ?? 0, ends[i])));
  }

  async #decodeEntries(
    keys: readonly Key[],
    raw: Uint8Array[],
    options: OperationOptions,
  ): Promise<(readonly [Key, V])[]> {
    const values = await this.#decodeAll(keys, raw, options);
    return keys.map((key, i) => [key, values[i] as V] as const);
  }

  async *#longEntries(
    options: EntriesOptions,
    longest: number,
  ): AsyncGenerator<readonly [Key, V], void, undefined> {
    const below = this._store.entries(options)[Symbol.asyncIterator]();
    let step = await below.next();
    try {
      while (!step.done) {
        const [key] = step.value;
        let values: V[] = [];
        let bytes = 0;
        for await (const framed of streamFrames(piecesOf(key), key)) {
          const length = FRAME_HEADER + framed.bytes.byteLength;
          if (bytes > 0 && bytes + length > longest) {
            yield [key, this.#join(key, values)];
            values = [];
            bytes = 0;
          }
          values.push(await this.#decode(framed));
          bytes += length;
        }
        yield [key, this.#join(key, values)];
      }
    } finally {
      if (!step.done) await below.return?.();
    }

    async function* piecesOf(key: Key): AsyncGenerator<Uint8Array, void, undefined> {
      for (; !step.done && sameKey(step.value[0], key); step = await below.next()) {
        yield step.value[1];
      }
    }
  }

  #join(key: Key, values: V[]): V {
    try {
      return this.#codec.join(values);
    } catch (cause) {
      throw new PartdError(
        isPartdError(cause) ? cause.code : "ERR_PARTD_CODEC",
        `The ${this.#codec.name} codec cannot join the ${values.length} values of key ${describeKey(key)}: ${messageOf(cause)}`,
        { key, cause },
      );
    }
  }

  /**
   * `items.map(work)` for `work` that may be asynchronous, with at most `concurrency` calls under
   * way. A synchronous result costs no promise, so a synchronous codec runs as fast as a plain
   * loop.
   */
  async #map<T, U>(
    items: Iterable<T>,
    options: OperationOptions | undefined,
    work: (item: T, index: number) => U | Promise<U>,
  ): Promise<U[]> {
    const results: U[] = [];
    const source = items[Symbol.iterator]();
    const pace = new Pace();
    let count = 0;
    let over = false;
    const worker = async (): Promise<void> => {
      try {
        while (!over) {
          const next = source.next();
          if (next.done) break;
          const i = count++;
          const result = work(next.value, i);
          results[i] = isPromise(result) ? await unlessAborted(result, options?.signal) : result;
          if (pace.isOver) await pace.rest();
          options?.signal?.throwIfAborted();
        }
      } finally {
        over = true; // Done or failed: the other workers stop.
      }
    };
    // A synchronous codec is done within the first worker, so no second one is started.
    const workers: Promise<void>[] = [];
    while (!over && workers.length < this.#concurrency) workers.push(worker());
    await Promise.all(workers);
    return results;
  }

  #encodeError(text: string, cause: unknown): PartdError {
    if (isPartdError(cause) && cause.key !== undefined) return cause;
    const key = decodeKey(text);
    return new PartdError(
      isPartdError(cause) ? cause.code : "ERR_PARTD_CODEC",
      `The ${this.#codec.name} codec cannot encode the value for key ${describeKey(key)}: ${messageOf(cause)}`,
      { key, cause },
    );
  }

  #decodeError({ bytes, key, offset }: Frame, cause: unknown): PartdError {
    const code = isPartdError(cause) ? cause.code : "ERR_PARTD_CORRUPT";
    const format = code === "ERR_PARTD_CORRUPT" ? knownFormat(bytes) : undefined;
    if (format !== undefined && format !== this.#codec.name) {
      return new PartdError(
        "ERR_PARTD_CODEC",
        `The ${this.#codec.name} codec cannot decode the frame at byte ${offset} of key ${describeKey(key)}: it begins as ${format}; read the key through the codec or compression that wrote it.`,
        { key, offset, cause },
      );
    }
    const why =
      code === "ERR_PARTD_CORRUPT" ? ", which was damaged or not written through this codec" : "";
    return new PartdError(
      code,
      `The ${this.#codec.name} codec cannot decode the frame at byte ${offset} of key ${describeKey(key)}${why}: ${messageOf(cause)}`,
      { key, offset, cause },
    );
  }
}

/**
 * The frames of all keys. Not within `#decodeAll`: V8 makes a map (hidden class) in old space for each
 * closure that is a generator, and that kept what was decoded alive until the next major collection.
 * `Json.get` of flights took 1.4 times the CPU.
 *
 * @param raw the values. Each leaves the list when its frames are taken, so that its memory can go.
 * @param ends takes how many frames there are up to the end of each key's value.
 */
function* framesOf(
  keys: readonly Key[],
  raw: Uint8Array[],
  ends: number[],
): Generator<Frame, void, undefined> {
  let count = 0;
  for (const [i, key] of keys.entries()) {
    const value = raw[i] as Uint8Array;
    raw[i] = DECODED;
    for (const framed of eachFrame(value, key)) {
      count++;
      yield framed;
    }
    ends.push(count);
  }
}

function checkCodec(codec: unknown): void {
  const given = codec as Partial<Codec<unknown>> | null | undefined;
  const methods = [given?.encode, given?.decode, given?.join];
  if (methods.every((method) => typeof method === "function")) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `new Encode() takes a codec second, as in new Encode(new Dict(), jsonCodec()), not ${describeArgument(codec)}.`,
  );
}

function checkConcurrency(concurrency: number): number {
  if (typeof concurrency === "number" && concurrency >= 1) return concurrency;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `concurrency must be a number of 1 or more, not ${String(concurrency)}.`,
  );
}

/**
 * Limits of the entries that are decoded together, so that an asynchronous codec can work side by
 * side.
 */
const TOGETHER_BYTES = 1 << 18;
const TOGETHER_KEYS = 256;

const DECODED = new Uint8Array(0);

/** Checks the type first: anything else has no `byteLength`, and would become an empty frame. */
function frameOf(encoded: Uint8Array): Uint8Array {
  if (!isBytes(encoded)) throw new TypeError("it did not encode to a Uint8Array.");
  return frame(encoded);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
