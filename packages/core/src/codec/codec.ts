/** Turns values of one type into bytes and back. Published on its own, or used by `Encode`. */
export interface Codec<V> {
  /** For error messages: `"json"`, `"snappy"`. */
  readonly name: string;
  /** Returns the bytes of one appended value. Throws if the codec cannot carry the value. */
  encode(value: V): Uint8Array | Promise<Uint8Array>;
  /**
   * Returns the value that `encode` was given. Throws if these bytes encode no value. The codec may
   * return a view of `bytes`.
   */
  decode(bytes: Uint8Array): V | Promise<V>;
  /** Joins the values appended to a key, in order. `join([])` is the value of an absent key. */
  join(values: V[]): V;
}
