import type { Entries, EntriesOptions, Key, OperationOptions, Store } from "@partd/core";
import {
  type AppendOptions,
  concatBytes,
  Decorator,
  entriesOf,
  type GetOptions,
  type IsetOptions,
  Pace,
} from "@partd/core/author";

/**
 * A store whose values lie end to end in the store below, without the frames that `Encode` puts
 * around each append.
 */
export abstract class Unframed<V> extends Decorator<V> {
  readonly holdsValues = true;

  /** Appends encoded values, which are given away. */
  protected _append(
    store: Store,
    encoded: readonly (readonly [Key, Uint8Array])[],
    options?: AppendOptions,
  ): Promise<void> {
    return store.append(encoded, options);
  }

  protected abstract _encode(value: V, key: Key): Uint8Array;

  /** @param offset where `bytes` begin in the key's value. */
  protected abstract _decode(bytes: Uint8Array, key: Key, offset: number): V;

  /** Where the last whole item in `bytes` ends: the bytes before it can be decoded. */
  protected abstract _lastEnd(bytes: Uint8Array): number;

  override async append(data: Entries<V>, options?: OperationOptions): Promise<void> {
    const encoded: [Key, Uint8Array][] = [];
    for (const [key, value] of entriesOf(data)) encoded.push([key, this._encode(value, key)]);
    const given = { ...options, owned: true };
    await this._calls.shared(() => this._append(this._store, encoded, given), options);
  }

  override async *stream(key: Key, options?: GetOptions): AsyncGenerator<V, void, undefined> {
    let held: Uint8Array[] = [];
    let offset = 0;
    for await (const piece of this._store.stream(key, options)) {
      // Join pieces only when an item ends, so that a long item is copied once.
      const whole = held.length > 0 && this._lastEnd(piece) > 0;
      const bytes = whole ? concatBytes([...held, piece]) : piece;
      const end = this._lastEnd(bytes);
      if (end === 0) {
        held.push(piece);
        continue;
      }
      yield this._decode(bytes.subarray(0, end), key, offset);
      offset += end;
      held = end < bytes.byteLength ? [bytes.subarray(end)] : [];
    }
    if (held.length > 0) yield this._decode(concatBytes(held), key, offset);
  }

  override async iset(key: Key, value: V, options?: IsetOptions): Promise<void> {
    await this._store.iset(key, this._encode(value, key), options);
  }

  override async *entries(
    options: EntriesOptions = {},
  ): AsyncGenerator<readonly [Key, V], void, undefined> {
    if (options.longest !== undefined) {
      yield* super.entries(options);
      return;
    }
    for await (const [key, bytes] of this._store.entries(options)) {
      yield [key, this._decode(bytes, key, 0)];
    }
  }

  /** Yields to the event loop between values. */
  protected override async _get(keys: readonly Key[], options?: GetOptions): Promise<V[]> {
    const raw = await this._store.get(keys, options);
    const values: V[] = [];
    const pace = new Pace();
    for (const [i, bytes] of raw.entries()) {
      values.push(this._decode(bytes, keys[i] as Key, 0));
      if (!pace.isOver) continue;
      await pace.rest();
      options?.signal?.throwIfAborted();
    }
    return values;
  }
}
