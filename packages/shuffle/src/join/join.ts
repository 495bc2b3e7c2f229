import { PartdError } from "@partd/core";
import { gather } from "../group/group-by.js";
import { oneAhead } from "../run/one-ahead.js";
import { Output } from "../run/output.js";
import { memoryFor, Run, type RunOptions } from "../run/run.js";
import type { By } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import { type Input, inputOf, type Source } from "../source/input.js";
import { JoinParts } from "./join-parts.js";
import { type JoinSink, LineSink, ParsingSink } from "./join-sink.js";
import { type JoinKind, kinds } from "./kind.js";

export interface JoinOptions<L, R, Kind extends JoinKind> extends RunOptions {
  /** The key of a record on the left: a field's name, several names, or a function. */
  readonly by: By<L>;
  /** The same on the right. Default: `by`. */
  readonly rightBy?: By<R> | undefined;
  /**
   * - `"inner"`, the default: pairs of records with the same key.
   * - `"left"`, `"right"`, `"full"`: and those of that side, or both, that have no partner, beside `undefined`.
   * - `"semi"`, `"anti"`: records on the left that have a partner, or none.
   */
  readonly kind?: Kind | undefined;
}

/** What a join yields. */
export type Joined<L, R, Kind extends JoinKind> = {
  inner: [L, R];
  left: [L, R | undefined];
  right: [L | undefined, R];
  full: [L, R] | [L, undefined] | [undefined, R];
  semi: L;
  anti: L;
}[Kind];

/**
 * Joins two sources by key. Keys that are missing or `null`, or a list with such an item, match nothing, as in
 * SQL. The right side is kept, in memory while it fits: put the smaller one there. While it fits,
 * the order is that of the left side.
 *
 * ```ts
 * for await (const [event, user] of join(events, users, { by: "userId", rightBy: "id" })) { … }
 * ```
 *
 * @throws what {@link RunOptions} says.
 */
export function join<L, R, Kind extends JoinKind = "inner">(
  left: Source<L>,
  right: Source<R>,
  options: JoinOptions<L, R, Kind>,
): JoinOutput<Joined<L, R, Kind>> {
  const kind = options.kind ?? "inner";
  if (!Object.hasOwn(kinds, kind)) {
    throw new PartdError("ERR_PARTD_VALUE", `kind is one of ${Object.keys(kinds).join(", ")}.`);
  }
  const leftInput = inputOf(left, new GroupKeyer(options.by));
  const rightBy = options.rightBy ?? (options.by as By<never> as By<R>);
  const rightInput = inputOf(right, new GroupKeyer(rightBy));
  return new JoinOutput(leftInput, rightInput, kind, options);
}

/** What a join found: records, or lines. */
export class JoinOutput<T> extends Output<T> {
  readonly #left: Input<unknown>;
  readonly #right: Input<unknown>;
  readonly #kind: JoinKind;
  readonly #options: RunOptions;

  constructor(left: Input<unknown>, right: Input<unknown>, kind: JoinKind, options: RunOptions) {
    super(() => parsed(left, right, kind, options) as AsyncGenerator<readonly T[]>);
    this.#left = left;
    this.#right = right;
    this.#kind = kind;
    this.#options = options;
  }

  /**
   * The same as bytes, never parsed: a line of JSON `[left,right]` for each pair, with `null` for a side
   * without a match; for `"semi"` and `"anti"` the records as they were in the source. Read either the
   * items or the bytes, once.
   *
   * @throws `ERR_PARTD_CODEC` for pairs of CSV, and where objects hold what JSON cannot carry.
   */
  bytes(): AsyncIterable<Uint8Array> {
    const start = () => oneAhead(lines(this.#left, this.#right, this.#kind, this.#options));
    return { [Symbol.asyncIterator]: () => this.begin(start) };
  }
}

async function* parsed(
  left: Input<unknown>,
  right: Input<unknown>,
  kind: JoinKind,
  options: RunOptions,
): AsyncGenerator<readonly unknown[]> {
  const sink = new ParsingSink(left, right, Math.min(KEPT_BYTES, memoryFor(options) / 16));
  for await (const _ of joined(left, right, kind, options, sink)) {
    const { items } = sink;
    if (items.length === 0) continue;
    sink.items = [];
    yield items;
  }
}

/** Of JSON; as objects about three times as much, beside `memory`. */
const KEPT_BYTES = 8 << 20;

async function* lines(
  left: Input<unknown>,
  right: Input<unknown>,
  kind: JoinKind,
  options: RunOptions,
): AsyncGenerator<Uint8Array> {
  if (!(left.isJson && right.isJson) && (kinds[kind].pairs || kinds[kind].lonelyRight)) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      "Pairs of CSV rows are no rows: read the pairs themselves, not their bytes.",
    );
  }
  const sink = new LineSink(left, right);
  for await (const _ of joined(left, right, kind, options, sink)) yield* sink.pieces.splice(0);
  sink.end();
  yield* sink.pieces;
}

async function* joined(
  left: Input<unknown>,
  right: Input<unknown>,
  kind: JoinKind,
  options: RunOptions,
  sink: JoinSink,
): AsyncGenerator<void> {
  const lengths = [await left.byteLength(), await right.byteLength()];
  const byteLength = lengths.includes(undefined)
    ? undefined
    : lengths.reduce<number>((sum, length) => sum + length!, 0);
  const run = new Run(options, byteLength);
  try {
    const parts = new JoinParts(run, kinds[kind], left, sink);
    yield* parts.join(await gather(run, right));
  } finally {
    await run.close();
  }
}
