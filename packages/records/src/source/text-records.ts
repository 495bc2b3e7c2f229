import { stat } from "node:fs/promises";
import { PartdError } from "@partd/core";
import { checkIntegerOption, type OptionNames } from "@partd/core/author";
import { CsvFormat } from "../csv/csv-format.js";
import { NdjsonFormat } from "../json/ndjson-format.js";
import type {
  BatchOptions,
  ByteBatch,
  FormatDescription,
  OnReject,
  PartRecords,
  RecordFormat,
  RecordsPart,
  RecordsSplitOptions,
} from "../records.js";
import { type ByteReader, closeReader, ioError, openFile, openReader } from "./byte-reader.js";
import { type CutOptions, cutBatches, type RecordCutter } from "./cut-batches.js";
import { type Input, inputsOf, pathsOf, type Source } from "./inputs.js";

/** Options of the readers of text. */
export interface ReadOptions {
  /** Receives malformed records, and reading goes on. Default: the first one is an error. */
  readonly onReject?: OnReject | undefined;
  /** Ends the reading: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const READ_OPTIONS: OptionNames<ReadOptions> = { onReject: true, signal: true };

/** Records of lines or rows, from paths, a stream, or a part of a file. */
export class TextRecords<R> implements PartRecords<R> {
  readonly format: TextFormat<R>;
  reached: number;
  readonly #source: Source | RecordsPart;
  readonly #options: ReadOptions;
  readonly #wrap: ((reader: ByteReader) => ByteReader) | undefined;
  #isTaken = false;

  /** @param wrap turns an input that is not lines into lines. */
  constructor(
    source: Source | RecordsPart,
    format: TextFormat<R>,
    options: ReadOptions,
    wrap?: (reader: ByteReader) => ByteReader,
  ) {
    this.#source = source;
    this.#wrap = wrap;
    this.format = format;
    this.#options = options;
    this.reached = isPart(source) ? source.start : 0;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<R> {
    for await (const batch of this.batches()) {
      // Not `yield*`, which awaits each record once more: all of the reading would take a seventh longer.
      for (const record of this.format.parseBatch(batch, this.#options.onReject)) yield record;
    }
  }

  async byteLength(): Promise<number | undefined> {
    if (isPart(this.#source)) return this.#source.end - this.#source.start;
    const paths = await pathsOf(this.#source);
    if (!paths) return undefined;
    let sum = 0;
    for (const path of paths) {
      const found = await stat(path).catch(() => undefined);
      if (!found?.isFile()) return undefined;
      sum += found.size;
    }
    return sum;
  }

  async *batches(options: BatchOptions = {}): AsyncGenerator<ByteBatch> {
    const {
      into,
      batchBytes = into?.length ?? 1 << 20,
      longestRecord = 2 ** 30,
      longestRecordAdvice,
      onGrow,
    } = options;
    const signals = [options.signal, this.#options.signal].filter((signal) => signal !== undefined);
    const signal = signals.length === 2 ? AbortSignal.any(signals) : signals[0];
    for (const [name, bytes] of Object.entries({ batchBytes, longestRecord })) {
      checkIntegerOption(name, bytes, 16, 2 ** 30);
    }
    await this.#take();
    const source = this.#source;
    const inputs = isPart(source) ? [{ path: source.path, range: source }] : inputsOf(source);
    let consumed = 0;
    for await (const input of inputs) {
      const cut = { batchBytes, into, longestRecord, longestRecordAdvice, onGrow, signal };
      consumed += yield* this.#inputBatches(input, consumed, cut);
    }
  }

  async *#inputBatches(
    input: Input,
    consumed: number,
    options: Omit<CutOptions, "byteOffset" | "hasLines" | "consumed" | "preamble">,
  ): AsyncGenerator<ByteBatch, number> {
    options.signal?.throwIfAborted();
    const opened = await openReader(input, "text", options.signal);
    const reader = this.#wrap ? this.#wrap(opened) : opened;
    try {
      const batches = cutBatches(reader, this.format.cutter(), {
        ...options,
        byteOffset: input.range?.start ?? 0,
        hasLines: !this.#wrap,
        consumed,
        preamble: (batch) => (isPart(this.#source) ? 0 : this.format.preamble(batch)),
      });
      for await (const batch of batches) {
        this.reached = batch.position.byteOffset + batch.bytes.length;
        yield batch;
      }
      return reader.consumed;
    } finally {
      await closeReader(reader, options.signal);
    }
  }

  /** Allows a stream to be read only once: a second reader would silently get the rest. */
  async #take(): Promise<void> {
    if (isPart(this.#source) || (await pathsOf(this.#source))) return;
    if (this.#isTaken) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "A stream of records can be read once. Read it from a path, or make a new stream.",
      );
    }
    this.#isTaken = true;
  }

  async split(
    n: number,
    options?: RecordsSplitOptions,
  ): Promise<readonly RecordsPart[] | undefined> {
    // `onReject` is a function, which cannot be sent to another thread.
    const isWhole = isPart(this.#source) || this.#wrap || this.#options.onReject;
    const paths = isWhole ? undefined : await pathsOf(this.#source);
    return paths && splitPaths(paths, n, this.format, options);
  }
}

/** Opens a part that `split` of a source has cut, in any thread or process. */
export function openPart<R = unknown>(
  part: RecordsPart,
  options: ReadOptions = {},
): PartRecords<R> {
  return new TextRecords<R>(part, openFormat<R>(part.format, options.onReject), options);
}

/**
 * Cuts a plain file at record boundaries into at most `n` parts for other threads: rows of CSV if
 * its name ends in `.csv` or `.tsv`, else lines of JSON. `undefined` for a compressed file or a
 * stream.
 */
export function splitFile(
  path: string | URL,
  n: number,
): Promise<readonly RecordsPart[] | undefined> {
  const { pathname } = path instanceof URL ? path : { pathname: path };
  const delimiter = { csv: ",", tsv: "\t" }[pathname.slice(-3).toLowerCase()];
  const format = delimiter ? new CsvFormat({ delimiter }) : new NdjsonFormat<object>();
  return new TextRecords<object>(path, format, {}).split(n);
}

/** Makes a format from its description. */
function openFormat<R>(description: FormatDescription, onReject?: OnReject): TextFormat<R> {
  if (description.name === "ndjson") return new NdjsonFormat<R>(onReject);
  return CsvFormat.from<R & object>(description, onReject) as TextFormat<R>;
}

/** A format of lines or rows, with what its reader needs. */
export interface TextFormat<R> extends RecordFormat<R> {
  /** Whether every newline ends a record. */
  readonly endsAtNewline: boolean;
  /** Makes a cutter for one input. */
  cutter(): RecordCutter;
  /**
   * Guesses where the first record begins in bytes that may start anywhere in a file; -1 if it cannot.
   * `undefined` if every newline ends a record.
   */
  guessStart?(bytes: Uint8Array): number;
  /** Reads what precedes an input's records, and returns its length. */
  preamble(batch: ByteBatch): number;
  /** Parses the records of a batch. @throws `ERR_PARTD_CORRUPT` for a malformed one, unless there is `onReject`. */
  parseBatch(batch: ByteBatch, onReject: OnReject | undefined): Iterable<R>;
  /** The format as plain data. Of CSV it is known after the first batch. */
  describe(): FormatDescription;
}

function isPart(source: Source | RecordsPart): source is RecordsPart {
  return typeof source === "object" && source !== null && "path" in source && "format" in source;
}

/**
 * Cuts plain files at record boundaries into at most `n` parts of about the same size, in order.
 * `undefined` if one is compressed or not a regular file.
 */
async function splitPaths<R>(
  paths: readonly string[],
  n: number,
  format: TextFormat<R>,
  { guess = false }: RecordsSplitOptions = {},
): Promise<RecordsPart[] | undefined> {
  if (!Number.isInteger(n) || n < 1) {
    throw new PartdError("ERR_PARTD_VALUE", "The number of parts is a whole number from 1 on.");
  }
  const sizes: number[] = [];
  for (const path of paths) {
    const reader = await openReader({ path }, "text", undefined);
    await reader.close();
    if (!reader.isPlainFile) return undefined;
    sizes.push((await stat(path)).size);
  }
  const partSize = Math.max(1, Math.ceil(sizes.reduce((a, b) => a + b, 0) / n));
  const parts: RecordsPart[] = [];
  let before = 0;
  for (const [i, path] of paths.entries()) {
    const size = sizes[i]!;
    const targets: number[] = [];
    for (let k = Math.floor(before / partSize) + 1; k * partSize < before + size; k++) {
      targets.push(k * partSize - before);
    }
    const isGuess = guess && !format.endsAtNewline;
    const cut = format.endsAtNewline ? cutsAtNewlines : isGuess ? guessedCuts : cutsInOrder;
    const cuts = [...(await cut(path, size, targets, format)), size];
    for (let c = 0; c + 1 < cuts.length; c++) {
      const [start, end] = [cuts[c]!, cuts[c + 1]!];
      if (start === end) continue;
      parts.push({ path, start, end, isGuess: isGuess && c > 0, format: format.describe() });
    }
    before += size;
  }
  return parts;
}

type Cuts<R> = (
  path: string,
  size: number,
  targets: readonly number[],
  format: TextFormat<R>,
) => Promise<number[]>;

/**
 * Cuts after the first newline that follows each target. Some targets are looked at together: one after
 * the other took 4 ms for 60, before anything else could begin.
 */
const cutsAtNewlines: Cuts<unknown> = async (path, size, targets) => {
  const cuts = [0];
  const file = await openFile(path);
  /** The end of the line at `at` if that is in the next `length` bytes; `undefined` if it is not. */
  const lineEnd = async (at: number, length: number) => {
    const { bytesRead, buffer } = await file
      .read(new Uint8Array(length), 0, length, at)
      .catch((cause: unknown) => {
        throw ioError(path, cause);
      });
    const newline = buffer.subarray(0, bytesRead).indexOf(LF);
    if (newline >= 0) return at + newline + 1;
    return bytesRead === 0 ? size : undefined;
  };
  try {
    for (let i = 0; i < targets.length; i += TARGETS_AT_ONCE) {
      const some = targets.slice(i, i + TARGETS_AT_ONCE);
      const ends = await Promise.all(some.map((target) => lineEnd(target - 1, SOME_LINES)));
      for (const [k, target] of some.entries()) {
        // In a line that ends at the cut before.
        if (target <= cuts.at(-1)!) continue;
        let end = ends[k];
        for (let at = target - 1 + SOME_LINES; end === undefined; at += LONG_LINE) {
          end = await lineEnd(at, LONG_LINE);
        }
        cuts.push(Math.min(end, size));
      }
    }
  } finally {
    await file.close();
  }
  return cuts;
};

const TARGETS_AT_ONCE = 16;
const SOME_LINES = 1 << 12;
const LONG_LINE = 1 << 16;

const LF = 0x0a;

/** Cuts where a record seems to begin. The first part begins after the header, which is no guess. */
const guessedCuts: Cuts<unknown> = async (path, size, targets, format) => {
  const [first = size] = await cutsInOrder(path, size, [], format);
  const cuts = [first];
  const window = new Uint8Array(GUESS_WINDOW);
  const file = await openFile(path);
  try {
    for (const target of targets) {
      if (target < first) continue;
      const { bytesRead } = await file
        .read(window, 0, window.length, target)
        .catch((cause: unknown) => {
          throw ioError(path, cause);
        });
      const start = format.guessStart!(window.subarray(0, bytesRead));
      if (start >= 0 && target + start > cuts.at(-1)! && target + start < size) {
        cuts.push(target + start);
      }
    }
  } finally {
    await file.close();
  }
  return cuts;
};

/** Some rows. Where there is no newline, a cut is left out. */
const GUESS_WINDOW = 1 << 13;

/** Cuts by reading from the beginning: only then is it known which newlines are inside quotes. */
const cutsInOrder: Cuts<unknown> = async (path, size, targets, format) => {
  const cuts: number[] = [];
  const reader = await openReader({ path }, "text", undefined);
  try {
    const batches = cutBatches(reader, format.cutter(), {
      batchBytes: 1 << 18,
      longestRecord: 2 ** 30,
      longestRecordAdvice: undefined,
      signal: undefined,
      byteOffset: 0,
      hasLines: true,
      consumed: 0,
      preamble: (batch) => format.preamble(batch),
    });
    for await (const { position } of batches) {
      if (cuts.length === 0) cuts.push(position.byteOffset);
      else if (position.byteOffset >= targets[cuts.length - 1]!) cuts.push(position.byteOffset);
      if (cuts.length > targets.length) break;
    }
  } finally {
    await reader.close();
  }
  return cuts.length === 0 ? [size] : cuts;
};
