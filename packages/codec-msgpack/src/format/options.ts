import type { Extension } from "./extension.js";

export interface MsgPackFormatOptions {
  /**
   * How integers are read.
   * - `"auto"`, the default: as a number within ±(2^53 - 1), else as a BigInt.
   * - `"number"`: as numbers; an integer that would be rounded is `ERR_PARTD_CODEC`.
   * - `"bigint"`: always as a BigInt.
   */
  readonly integers?: "auto" | "number" | "bigint" | undefined;
  /**
   * How maps are read. `"auto"`, the default: as an object if all keys are strings, else as a `Map`.
   * `"map"`: always as a `Map`, which also keeps the order of keys such as `"7"`.
   */
  readonly maps?: "auto" | "map" | undefined;
  /**
   * Which keys of a `Map` are written. `"any"`, the default. `"text"`: only strings and bytes, which
   * are all that Python's `unpackb` reads by default (`strict_map_key=True`); other keys are
   * `ERR_PARTD_CODEC`.
   */
  readonly keys?: "any" | "text" | undefined;
  /** Types of your own. Dates need none: they are the standard's timestamps. Default none. */
  readonly extensions?: readonly Extension[] | undefined;
}

/** Python's `msgpack` reads 1,024 levels. */
export const MAX_DEPTH = 1000;
