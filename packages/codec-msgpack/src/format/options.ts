import type { Extension } from "./extension.js";

export interface MsgPackFormatOptions {
  /**
   * What integers are read as. `"auto"`, the default: a number where it is exact, that is within
   * ±(2^53 - 1), else a BigInt. `"number"`: always a number, and `ERR_PARTD_CODEC` for one that
   * would be rounded. `"bigint"`: always a BigInt.
   */
  readonly integers?: "auto" | "number" | "bigint" | undefined;
  /**
   * What maps are read as. `"auto"`, the default: an object where all keys are strings, else a
   * `Map`. `"map"`: always a `Map`, which also keeps the order of keys such as `"7"`.
   */
  readonly maps?: "auto" | "map" | undefined;
  /** Types of one's own. A Date is the standard's timestamp without any. Default none. */
  readonly extensions?: readonly Extension[] | undefined;
}

/** Python's `msgpack` reads 1,024 levels. */
export const MAX_DEPTH = 1000;
