export interface PickleOptions {
  /**
   * What ints are read as. `"auto"`, the default: a number where it is exact, that is within
   * ±(2^53 - 1), else a BigInt. `"number"`: always a number, and `ERR_PARTD_CODEC` for one that
   * would be rounded. `"bigint"`: always a BigInt.
   */
  readonly integers?: "auto" | "number" | "bigint" | undefined;
  /**
   * What dicts are read as. `"auto"`, the default: an object where all keys are strings, else a
   * `Map`. `"map"`: always a `Map`, which also keeps the order of keys such as `"7"`.
   */
  readonly dicts?: "auto" | "map" | undefined;
  /** The protocol to write, 2 to 5. Default 5, Python's highest; Python before 3.8 reads up to 4. */
  readonly protocol?: 2 | 3 | 4 | 5 | undefined;
}

/** Python's own pickler gives up at about as many levels. */
export const MAX_DEPTH = 1000;
