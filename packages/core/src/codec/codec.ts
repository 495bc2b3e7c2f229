/** Turns values of one type into bytes and back. Published on its own, or used by `Encode`. */
export interface Codec<V> {
  /** For error messages: `"json"`, `"snappy"`. */
  readonly name: string;
  /** The bytes for one appended value. Throws where the value cannot be carried. */
  encode(value: V): Uint8Array | Promise<Uint8Array>;
  /**
   * The value that `encode` gave these bytes for. Throws where they are of no such value.
   * `bytes` belongs to the codec: the answer may be a view of it.
   */
  decode(bytes: Uint8Array): V | Promise<V>;
  /** One value from those appended to a key, in order. `join([])` is the value of an absent key. */
  join(values: V[]): V;
}
