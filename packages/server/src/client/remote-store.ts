import {
  decodeKey,
  type Entries,
  type EntriesOptions,
  encodeKey,
  type Key,
  type KeysOptions,
  type KeyTree,
  type OperationOptions,
  PartdError,
  type Store,
  type Values,
} from "@partd/core";
import {
  type AppendOptions,
  byteEntries,
  checkCritical,
  checkNotHeld,
  checkOperation,
  checkOptions,
  copyTree,
  countKeys,
  flattenKeys,
  type GetOptions,
  type IsetOptions,
  nestValues,
  onAbort,
  runHolding,
  selectKeys,
  sizesOf,
  streamedSize,
  takeBytes,
  toBatch,
} from "@partd/core/author";
import { MAX_KEY_BYTES, Type } from "../protocol/constants.js";
import type { Link } from "./link.js";
import {
  Acknowledged,
  type Answer,
  CountsAnswer,
  Lease,
  lockLost,
  NOT_OFFERED,
  PiecesAnswer,
  Request,
  ValuesAnswer,
} from "./request.js";
import { BatchBody, type Body, KeysBody, NO_BODY, StreamBody, tooLong } from "./request-body.js";

/** The most bytes of a stream that may be on their way to a client. */
const STREAM_CREDIT = 1 << 20;
/** The most keys of one SIZES request: with usual keys they fit into one message. */
const SIZES_AT_ONCE = 4_096;

/** A store whose operations are requests over a link, inside a lock or outside. */
export abstract class RemoteStore implements Store {
  readonly #link: Link;
  readonly #lease: Lease | undefined;
  /**
   * Encoded keys that `iset` has set or is setting, shared with the stores that `withLock` passes.
   */
  readonly #isets: Map<string, Promise<void>>;
  #closed = false;

  /** @internal */
  constructor(link: Link, lease?: Lease, parent?: RemoteStore) {
    this.#link = link;
    this.#lease = lease;
    this.#isets = parent ? parent.#isets : new Map();
  }

  /** Not `async`: the promise would be a good part of the work for a small append. */
  append(data: Entries<Uint8Array>, options: AppendOptions = {}): Promise<void> {
    try {
      const batch = toBatch(data);
      checkOperation("append", options);
      this.#check(options);
      if (batch.keys.length === 0) return Promise.resolve();
      checkLengths(batch.keys);
      return this.#acknowledge(Type.APPEND, new BatchBody(batch), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async get<const K extends KeyTree>(
    keys: K,
    options: GetOptions = {},
  ): Promise<Values<K, Uint8Array>> {
    checkOperation("get", options);
    const flat = flattenKeys(keys);
    const tree = copyTree(keys);
    return nestValues(tree, await this.#values(Type.GET, flat, options));
  }

  async *stream(key: Key, options: GetOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    checkOperation("stream", options);
    const text = encodeKey(key);
    checkLengths([text]);
    yield* this.#pieces(Type.STREAM, options, text);
  }

  async iset(key: Key, value: Uint8Array, options: IsetOptions = {}): Promise<void> {
    checkOperation("iset", options);
    const text = encodeKey(key);
    const bytes = takeBytes(key, value);
    checkLengths([text]);
    this.#check(options);
    const earlierOne = () => (options.replace ? undefined : this.#isets.get(text));
    for (let earlier = earlierOne(); earlier; earlier = earlierOne()) {
      const set = await earlier.then(
        () => true,
        () => false,
      );
      if (set) return;
    }
    const body = new BatchBody({ keys: [text], values: [bytes], byteLength: bytes.length });
    const setting = this.#acknowledge(Type.SET, body, options);
    this.#isets.set(text, setting);
    try {
      await setting;
    } catch (error) {
      if (this.#isets.get(text) === setting) this.#isets.delete(text);
      throw error;
    }
  }

  async delete(keys: Key | readonly Key[], options: OperationOptions = {}): Promise<void> {
    checkOperation("delete", options);
    const flat = flattenKeys(keys);
    this.#check(options);
    if (flat.length === 0) return;
    checkLengths(flat);
    this.#forgetIsets(flat); // Also if it fails: the keys may be gone or not.
    await this.#acknowledge(Type.DELETE, new KeysBody(flat), options);
  }

  async pop<const K extends KeyTree>(
    keys: K,
    options: GetOptions = {},
  ): Promise<Values<K, Uint8Array>> {
    checkOperation("pop", options);
    const flat = flattenKeys(keys);
    const tree = copyTree(keys);
    this.#forgetIsets(flat);
    const values = await this.#values(Type.POP, flat, options);
    return nestValues(tree, values);
  }

  async *keys(options: KeysOptions = {}): AsyncGenerator<Key, void, undefined> {
    checkOperation("keys", options);
    this.#check(options);
    const texts = selectKeys(this.#keyTexts(options), options);
    for await (const text of texts) yield decodeKey(text);
  }

  entries(options: EntriesOptions = {}): AsyncIterable<readonly [Key, Uint8Array]> {
    return this.#entries(options);
  }

  async count(options: OperationOptions = {}): Promise<number> {
    checkOperation("count", options);
    const answer = await this.#numbers(Type.COUNT, NO_BODY, 1, options);
    return answer?.[0] ?? countKeys(this, options);
  }

  async size(key: Key, options: OperationOptions = {}): Promise<number> {
    checkOperation("size", options);
    const [size] = await this.sizes([key], options);
    return size as number;
  }

  /** For authors: what `size` returns, for each of `keys`. */
  async sizes(keys: readonly Key[], options: OperationOptions = {}): Promise<readonly number[]> {
    checkOperation("sizes", options);
    const known = await this.#sizes(keys, options);
    // From an older server, stream a few values at a time: each may have a megabyte on its way.
    const size = (key: Key) => streamedSize(this, key, options);
    return known ?? sizesOf({ size }, keys);
  }

  async withLock<T>(
    critical: (store: Store) => T | Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    checkOperation("withLock", options);
    checkCritical(critical);
    this.#check(options);
    if (this.#lease) return this.#critical(critical, this.#lease);
    const lease = new Lease();
    this.#link.retain();
    try {
      const granted = new Acknowledged();
      const request = new Request(Type.LOCK, NO_BODY, granted, undefined, true, lease);
      await this.#submit(request, granted, options);
      let result: T;
      try {
        result = await runHolding(this, () => this.#critical(critical, lease));
      } finally {
        await this.#unlock(lease);
      }
      if (lease.isLost) throw lockLost(this.#link.address);
      return result;
    } finally {
      this.#link.release();
    }
  }

  async flush(options: OperationOptions = {}): Promise<void> {
    checkOperation("flush", options);
    this.#check(options);
    await this.flushServer(options);
  }

  async drop(options: OperationOptions = {}): Promise<void> {
    checkOperation("drop", options);
    this.#check(options);
    this.#isets.clear();
    await this.#acknowledge(Type.DROP, NO_BODY, options);
  }

  abstract close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected flushServer(options: OperationOptions = {}): Promise<void> {
    return this.#acknowledge(Type.FLUSH, NO_BODY, options);
  }

  /** Makes operations reject with `ERR_PARTD_CLOSED`, or accept calls again. */
  protected setClosed(closed: boolean): void {
    this.#closed = closed;
  }

  async *#entries(
    options: EntriesOptions,
  ): AsyncGenerator<readonly [Key, Uint8Array], void, undefined> {
    checkOperation("entries", options);
    this.#check(options);
    const { signal } = options;
    const mostKeys = await this.#mostSizes({ signal });
    const sizes = (keys: readonly Key[]) => this.#sizes(keys, { signal });
    yield* byteEntries(this, options, sizes, mostKeys);
  }

  /** The stored bytes of each key; `undefined` if the server does not offer SIZES. */
  async #sizes(
    keys: readonly Key[],
    options: OperationOptions,
  ): Promise<readonly number[] | undefined> {
    const texts = keys.map(encodeKey);
    checkLengths(texts);
    const mostKeys = texts.length > 1 ? await this.#mostSizes(options) : 1;
    const sizes: number[] = [];
    do {
      const some = texts.slice(sizes.length, sizes.length + mostKeys);
      const answer = await this.#numbers(Type.SIZES, new KeysBody(some), some.length, options);
      if (answer === undefined) return undefined;
      for (const size of answer) sizes.push(size);
    } while (sizes.length < texts.length);
    return sizes;
  }

  /** How many keys the server takes in one request. */
  async #mostSizes(options: OperationOptions): Promise<number> {
    if (!this.#link.terms) await this.#numbers(Type.SIZES, new KeysBody([]), 0, options);
    return Math.min(this.#link.terms?.keys ?? 1, SIZES_AT_ONCE);
  }

  /** The numbers that answer a request; `undefined` if the server does not offer it. */
  async #numbers(
    type: number,
    body: Body,
    count: number,
    options: OperationOptions,
  ): Promise<readonly number[] | undefined> {
    this.#check(options);
    const answer = new CountsAnswer(count);
    try {
      return await this.#submit(this.#request(type, body, answer, options), answer, options);
    } catch (error) {
      if (error === NOT_OFFERED) return undefined;
      throw error;
    }
  }

  async *#keyTexts(options: OperationOptions): AsyncGenerator<string, void, undefined> {
    const ascii = new TextDecoder("latin1");
    for await (const piece of this.#pieces(Type.KEYS, options)) yield ascii.decode(piece);
  }

  async #critical<T>(critical: (store: Store) => T | Promise<T>, lease: Lease): Promise<T> {
    const held = new HeldStore(this.#link, lease, this);
    try {
      return await critical(held);
    } finally {
      await held.close();
    }
  }

  async #unlock(lease: Lease): Promise<void> {
    if (lease.isLost) return;
    const released = new Acknowledged();
    this.#link.submit(new Request(Type.UNLOCK, NO_BODY, released, lease));
    try {
      await released.promise;
    } catch (error) {
      // All requests inside were answered under the lock, unless a lost connection has released it.
      if (!lease.isLost) throw error;
    }
    lease.end();
  }

  async #values(
    type: number,
    keys: readonly string[],
    options: OperationOptions,
  ): Promise<Uint8Array[]> {
    this.#check(options);
    if (keys.length === 0) return [];
    checkLengths(keys);
    const answer = new ValuesAnswer(keys.length);
    return this.#submit(this.#request(type, new KeysBody(keys), answer, options), answer, options);
  }

  async *#pieces(
    type: number,
    options: OperationOptions,
    key?: string,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#check(options);
    const { signal } = options;
    const answer = new PiecesAnswer();
    const request = this.#request(type, new StreamBody(STREAM_CREDIT, key), answer, options);
    const forget = signal && onAbort(signal, () => this.#link.cancel(request, signal.reason));
    this.#link.submit(request);
    try {
      let consumed = 0;
      for (let piece = await answer.next(); piece; piece = await answer.next()) {
        signal?.throwIfAborted();
        yield piece;
        consumed += piece.byteLength;
        if (consumed < STREAM_CREDIT / 4) continue;
        this.#link.credit(request, consumed);
        consumed = 0;
      }
    } finally {
      forget?.();
      this.#link.cancel(request, undefined);
    }
  }

  #acknowledge(type: number, body: Body, options: OperationOptions): Promise<void> {
    const answer = new Acknowledged();
    return this.#submit(this.#request(type, body, answer, options), answer, options);
  }

  #request(type: number, body: Body, answer: Answer, { signal }: OperationOptions): Request {
    return new Request(type, body, answer, this.#lease, signal !== undefined);
  }

  /**
   * Creates no promise besides the request's: with many small appends that would be most of the work.
   */
  #submit<T>(
    request: Request,
    answer: { readonly promise: Promise<T> },
    { signal }: OperationOptions,
  ): Promise<T> {
    this.#link.submit(request);
    if (!signal) return answer.promise;
    const forget = onAbort(signal, () => this.#link.cancel(request, signal.reason));
    return answer.promise.finally(forget);
  }

  #forgetIsets(keys: readonly string[]): void {
    for (const key of keys) this.#isets.delete(key);
  }

  #check(options: OperationOptions): void {
    checkOptions(options);
    checkNotHeld(this);
    if (this.#closed) {
      throw new PartdError("ERR_PARTD_CLOSED", "The store is closed; make a new one to go on.");
    }
    if (this.#lease?.isLost) throw lockLost(this.#link.address);
  }
}

/** What `withLock` passes. */
class HeldStore extends RemoteStore {
  /** Ends with the critical section. The connection stays open. */
  override async close(): Promise<void> {
    this.setClosed(true);
  }
}

function checkLengths(keys: readonly string[]): void {
  for (const key of keys) if (key.length > MAX_KEY_BYTES) throw tooLong(key);
}
