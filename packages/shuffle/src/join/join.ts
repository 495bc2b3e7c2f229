import { PartdError } from "@partd/core";
import { checkIntegerOption, checkOptionNames, type OptionNames } from "@partd/core/author";
import { openPart, type Records, type RecordsPart, type Scan } from "@partd/records";
import { partitionByHash } from "../group/group-by.js";
import { oneAhead } from "../run/one-ahead.js";
import { Output } from "../run/output.js";
import { batchOptions } from "../run/record-limit.js";
import { memoryFor, RUN_OPTIONS, Run, type RunOptions } from "../run/run.js";
import type { By } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import { type Input, inputOf, isRecords, type Source } from "../source/input.js";
import type { MissingOption } from "../source/missing.js";
import { threadsFor } from "../threads/share-threads.js";
import { threadProgram } from "../threads/thread-program.js";
import { JoinParts, type LeftInput } from "./join-parts.js";
import { type JoinSink, LineSink, ParsingSink } from "./join-sink.js";
import { KeyKinds } from "./key-kinds.js";
import { JOIN_KINDS, type JoinKind } from "./kind.js";
import { type LineJob, PART_BYTES } from "./line-joiner.js";
import { LineThreads, lineProgram } from "./line-threads.js";

export interface JoinOptions<L, R, Kind extends JoinKind> extends RunOptions, MissingOption {
  /** The key of a record on the left: a field's name, several names, or a function. */
  readonly by: By<L>;
  /** The same for the right side. Default: `by`. */
  readonly rightBy?: By<R> | undefined;
  /**
   * - `"inner"`, the default: pairs of records with the same key.
   * - `"left"`, `"right"`, `"full"`: also the records of that side, or of both, without a partner, paired with
   *   `undefined`.
   * - `"semi"`, `"anti"`: records on the left that have a partner, or none.
   */
  readonly kind?: Kind | undefined;
  /**
   * How many threads join the lines of plain NDJSON files by fields, for {@link JoinOutput.bytes}. Each
   * holds the right side. Default: the number of processors, at most 4, at most one for each 128 MB of
   * `memory`, and as many as have room for the right side; one for less than 64 MiB on the left.
   */
  readonly threads?: number | undefined;
}

const OPTIONS: OptionNames<JoinOptions<unknown, unknown, JoinKind>> = {
  by: true,
  rightBy: true,
  kind: true,
  threads: true,
  missing: true,
  ...RUN_OPTIONS,
};

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
 * Joins two sources by key. Keys that are missing or `null`, or lists with such an item, match nothing,
 * as in SQL, unless `missing` says that records without a key are left out, or an error. The right side is
 * held, in memory if it fits: make it the smaller one. If it fits, the order is that of the left side.
 *
 * ```ts
 * for await (const [event, user] of join(events, users, { by: "userId", rightBy: "id" })) { … }
 * ```
 *
 * @throws what {@link RunOptions} lists.
 */
export function join<L, R, Kind extends JoinKind = "inner">(
  left: Source<L>,
  right: Source<R>,
  options: JoinOptions<L, R, Kind>,
): JoinOutput<Joined<L, R, Kind>> {
  checkOptionNames("join", options, OPTIONS);
  const kind: JoinKind = options.kind ?? "inner";
  if (!Object.hasOwn(JOIN_KINDS, kind)) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `kind is one of ${Object.keys(JOIN_KINDS).join(", ")}.`,
    );
  }
  if (options.threads !== undefined) checkIntegerOption("threads", options.threads, 1, 256);
  const rightBy = options.rightBy ?? (options.by as By<never> as By<R>);
  const sides = {
    left: joinSide(left, options.by, "left", options),
    right: joinSide(right, rightBy, "right", options),
    kind,
    options,
  };
  const [by, other] = [sides.left, sides.right].map(({ keyer }) => keyer.fields?.length);
  if (by !== undefined && other !== undefined && by !== other) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `A key on the left has ${by} fields (by), and one on the right ${other} (rightBy): name as many.`,
    );
  }
  return new JoinOutput(sides);
}

/** One source of a join, and how its records are keyed. */
interface JoinSide {
  readonly source: Source<unknown>;
  readonly input: Input<unknown>;
  readonly keyer: GroupKeyer<unknown>;
}

function joinSide<R>(
  source: Source<R>,
  by: By<R>,
  side: "left" | "right",
  { missing }: MissingOption,
): JoinSide {
  const keyer = new GroupKeyer(by, { missing }, side);
  return {
    source,
    input: inputOf(source, keyer),
    keyer: keyer as GroupKeyer<never> as GroupKeyer<unknown>,
  };
}

interface JoinPlan {
  readonly left: JoinSide;
  readonly right: JoinSide;
  readonly kind: JoinKind;
  readonly options: RunOptions & { readonly threads?: number | undefined };
  /** Compares the kinds of both sides' keys, if these are fields; new for each run. */
  readonly keyKinds?: KeyKinds | undefined;
}

/** The results of a join: records, or lines. */
export class JoinOutput<T> extends Output<T> {
  readonly #plan: JoinPlan;

  constructor(plan: JoinPlan) {
    super(
      (signal) => parsed(endingWith(plan, signal)) as AsyncGenerator<readonly T[]>,
      plan.options.signal,
    );
    this.#plan = plan;
  }

  /**
   * The same as bytes, never parsed: a line of JSON `[left,right]` for each pair, with `null` for a
   * missing side; for `"semi"` and `"anti"` the records as they were in the source. Read either the
   * items or the bytes, once.
   *
   * @throws `ERR_PARTD_CODEC` for pairs from CSV, and if objects hold what JSON cannot carry.
   */
  bytes(): AsyncIterable<Uint8Array> {
    const start = (signal: AbortSignal) => oneAhead(lines(endingWith(this.#plan, signal)));
    return { [Symbol.asyncIterator]: () => this.begin(start) };
  }
}

function endingWith(plan: JoinPlan, signal: AbortSignal): JoinPlan {
  const keyKinds = KeyKinds.of(plan.left.keyer, plan.right.keyer);
  return { ...plan, keyKinds, options: { ...plan.options, signal } };
}

async function* parsed(plan: JoinPlan): AsyncGenerator<readonly unknown[]> {
  const { left, right, options } = plan;
  const keptBytes = Math.min(KEPT_BYTES, memoryFor(options) / 16);
  const sink = new ParsingSink(left.input, right.input, keptBytes);
  const run = await joinRun(plan);
  try {
    for await (const _ of joined(run, plan, left.input, sink)) {
      const { items } = sink;
      if (items.length === 0) continue;
      sink.items = [];
      yield items;
    }
    run.progress.done();
  } finally {
    await run.close();
  }
}

/** Bytes of records that stay parsed. As objects they take about three times as much, besides `memory`. */
const KEPT_BYTES = 8 << 20;

async function* lines(plan: JoinPlan): AsyncGenerator<Uint8Array> {
  const { left, right, kind } = plan;
  if (
    !(left.input.isJson && right.input.isJson) &&
    (JOIN_KINDS[kind].pairs || JOIN_KINDS[kind].unmatchedRight)
  ) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      "Pairs of CSV rows are not rows: read the pairs themselves, not their bytes.",
    );
  }
  const run = await joinRun(plan);
  try {
    let input: LeftInput = left.input;
    const work = await lineWork(run, plan);
    if (work) {
      run.workspace.charge(work.charged);
      const rest = yield* work.threads.join(work.job);
      run.workspace.uncharge(work.charged);
      if (rest.length === 0) {
        run.progress.done();
        return;
      }
      input = partsInput(rest, left.keyer);
    }
    const sink = new LineSink(left.input, right.input);
    for await (const _ of joined(run, plan, input, sink)) yield* sink.pieces.splice(0);
    sink.end();
    yield* sink.pieces;
    run.progress.done();
  } finally {
    await run.close();
  }
}

/** Plans a join by the scanners alone, and starts its threads; `undefined` if they cannot do it. */
async function lineWork(
  run: Run,
  plan: JoinPlan,
): Promise<{ job: LineJob; threads: LineThreads; charged: number } | undefined> {
  const { left, right, kind, options } = plan;
  const { fields: by, missing } = left.keyer;
  const { fields: rightBy } = right.keyer;
  // Lines are joined without looking for their fields.
  if (missing !== "keep") return undefined;
  if (kind === "right" || kind === "full" || !by || by.length !== rightBy?.length) return undefined;
  const [lines, rightLines] = [left.source, right.source].map((source) => {
    return isRecords(source) && source.format.name === "ndjson" ? source : undefined;
  });
  const lengths = [await lines?.byteLength(), await rightLines?.byteLength()];
  const [leftBytes, rightBytes] = lengths;
  if (!lines || leftBytes === undefined || !rightLines || rightBytes === undefined)
    return undefined;
  const room = run.workspace.byteLength * KEPT_SHARE;
  // A line takes about twice its bytes, because of its key and its place in the table.
  const fitting = Math.floor(room / (2 * rightBytes));
  if (fitting < 1) return undefined;
  const program = threadProgram(lineProgram, options.threads);
  const count = program ? Math.min(threadsFor(run, leftBytes, options.threads), fitting) : 1;
  const threads = new LineThreads(run, program, count - 1);
  let sides: Pick<LineJob, "left" | "right"> | undefined;
  try {
    sides = await lineSides(run, plan, lines, rightLines);
  } finally {
    if (!sides) await threads.end();
  }
  const { limit } = run.reading;
  return (
    sides && {
      job: { by, rightBy, kind, ...sides, mostBytes: room / count, limit },
      threads,
      charged: room,
    }
  );
}

/** The parts of both sides; `undefined` if lines cannot be joined as they are. */
async function lineSides(
  run: Run,
  { left, right, keyKinds }: JoinPlan,
  lines: Records<unknown>,
  rightLines: Records<unknown>,
): Promise<Pick<LineJob, "left" | "right"> | undefined> {
  const byteLength = Math.max(1, (await lines.byteLength()) ?? 0);
  const parts = await lines.split(Math.ceil(byteLength / PART_BYTES));
  const rightParts = await rightLines.split(1);
  if (!parts || !rightParts) return undefined;
  const isSettled = async ({ keyer }: JoinSide, [first]: readonly RecordsPart[]) =>
    first === undefined || (await keyer.watch?.isSettledBy(first, run.reading)) !== false;
  // Lines are joined without checking that the fields exist.
  if (!(await isSettled(left, parts)) || !(await isSettled(right, rightParts))) return undefined;
  if (parts[0] && rightParts[0]) {
    const look = (part: RecordsPart, { keyer }: JoinSide, side: "left" | "right") =>
      lookAtFirst(run, part, keyer.fields!, (scan) => keyKinds?.look(scan, side));
    await look(rightParts[0], right, "right");
    if ((await look(parts[0], left, "left")) === false) return undefined;
  }
  return { left: parts, right: rightParts };
}

/** Scans the first batch of a part. */
async function lookAtFirst<T>(
  { reading }: Run,
  part: RecordsPart,
  fields: readonly string[],
  look: (scan: Scan) => T,
): Promise<T | undefined> {
  const records = openPart(part);
  const scanner = records.format.scanner(fields);
  for await (const batch of records.batches(batchOptions(reading))) {
    return look(scanner.scan(batch));
  }
  return undefined;
}

/** The share of memory for the right side's lines, in all threads together. */
const KEPT_SHARE = 0.6;

/** The left side, from some part on. */
function partsInput(parts: readonly RecordsPart[], keyer: GroupKeyer<unknown>): LeftInput {
  return {
    consumed: undefined,
    async *batches(reading) {
      for (const part of parts) yield* inputOf(openPart(part), keyer).batches(reading);
    },
  };
}

async function joinRun({ left, right, options }: JoinPlan): Promise<Run> {
  const lengths = [await left.input.byteLength(), await right.input.byteLength()];
  const byteLength = lengths.includes(undefined)
    ? undefined
    : lengths.reduce<number>((sum, length) => sum + length!, 0);
  return new Run("join", options, byteLength);
}

async function* joined(
  run: Run,
  { right, kind, keyKinds }: JoinPlan,
  left: LeftInput,
  sink: JoinSink,
): AsyncGenerator<void> {
  const [leftInput, rightInput] = keyKinds
    ? [keyKinds.watching(left, "left"), keyKinds.watching(right.input, "right")]
    : [left, right.input];
  const chains = await partitionByHash(run, rightInput, { hasShortKeys: true });
  yield* new JoinParts(run, JOIN_KINDS[kind], leftInput, sink).join(chains);
}
