/** A Python tuple: an array that is written as a tuple again. What its methods make are arrays. */
export class PyTuple<T = unknown> extends Array<T> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** Makes a tuple of the items. */
export function pyTuple<T>(...items: T[]): PyTuple<T> {
  const tuple = new PyTuple<T>();
  for (const item of items) tuple.push(item);
  return tuple;
}

/** What a Python datetime says beyond a `Date`. */
export interface PyDateTimeFields {
  /** Microseconds beyond the `Date`'s milliseconds, 0 to 999. Default 0. */
  readonly microsecond?: number | undefined;
  /** Seconds east of UTC; undefined for a naive datetime, whose `Date` is as if it were in UTC. */
  readonly utcOffset?: number | undefined;
  /** The name of a `datetime.timezone` that has one of its own. */
  readonly zone?: string | undefined;
  /** Whether it is the second of two times of day that a change of clocks makes the same. */
  readonly fold?: boolean | undefined;
}

/**
 * A Python datetime that a `Date` alone would change: a naive one, one in another zone than UTC, or
 * one with microseconds. A `Date` in all else, and written as it was read.
 */
export class PyDateTime extends Date {
  readonly microsecond: number;
  readonly utcOffset: number | undefined;
  readonly zone: string | undefined;
  readonly fold: boolean;

  /** @param time milliseconds since 1970, in UTC. */
  constructor(time: number, fields: PyDateTimeFields = {}) {
    super(time);
    this.microsecond = fields.microsecond ?? 0;
    this.utcOffset = fields.utcOffset;
    this.zone = fields.zone;
    this.fold = fields.fold ?? false;
  }
}
