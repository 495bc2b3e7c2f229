import type { Scan } from "@partd/records";
import type { Aggregate } from "@partd/shuffle";

/** Looks at how the numbers of a column of CSV are written. */
export class WrittenNumbers {
  readonly #column: number;
  readonly #delimiter: number;
  readonly #quote: number | undefined;

  constructor(column: number, delimiter: string, quotes: boolean) {
    this.#quote = quotes ? QUOTE : undefined;
    this.#column = column;
    this.#delimiter = delimiter.charCodeAt(0);
  }

  /**
   * Whether the number of record `i` would be written as it stands there. For whole numbers no text is
   * made.
   */
  isPlain({ bytes, ends }: Scan, i: number): boolean {
    let at = i === 0 ? 0 : (ends[i - 1] as number);
    const end = ends[i] as number;
    let isQuoted = false;
    for (let column = 0; column < this.#column; at++) {
      const byte = bytes[at];
      if (byte === this.#quote) isQuoted = !isQuoted;
      else if (byte === this.#delimiter && !isQuoted) column++;
    }
    const start = bytes[at] === this.#quote ? at + 1 : at;
    let stop = start;
    let areDigits = true;
    for (; stop < end; stop++) {
      const byte = bytes[stop] as number;
      if (byte === this.#delimiter || byte === this.#quote || byte === CR || byte === LF) break;
      areDigits &&= byte >= ZERO && byte <= ZERO + 9;
    }
    if (areDigits && stop - start < DIGITS && (bytes[start] !== ZERO || stop === start + 1)) {
      return true;
    }
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start).toString(
      "latin1",
    );
    return String(Number(text)) === text;
  }
}

/** A double keeps every whole number of fewer digits. */
const DIGITS = 16;
const [QUOTE, CR, LF, ZERO] = [0x22, 0x0d, 0x0a, 0x30];

export type AggregateColumn = ReturnType<Aggregate<unknown, unknown>["column"]>;
export type Numbered = Parameters<AggregateColumn["add"]>[0];

/** A column of numbers that takes those of CSV, too. */
export class NumbersOfText implements AggregateColumn {
  readonly #inner: AggregateColumn;

  constructor(inner: AggregateColumn) {
    this.#inner = inner;
  }

  get bytesPerKey(): number {
    return this.#inner.bytesPerKey;
  }

  add(records: Numbered, values: ArrayLike<unknown>): void {
    const areNumbers = values instanceof Float64Array;
    const number = (one: unknown) => (typeof one === "string" ? Number(one) : one);
    this.#inner.add(records, areNumbers ? values : Array.from(values, number));
  }

  result(number: number): unknown {
    return this.#inner.result(number);
  }

  states(keys: number): unknown {
    return this.#inner.states?.(keys);
  }

  merge(keys: Numbered, states: never): void {
    this.#inner.merge?.(keys, states);
  }
}

/**
 * The minimum or maximum of a column of CSV. Numbers are compared as numbers; the result is the text of
 * the first record with the best value. A number stands for the text that it is written as.
 */
export class WrittenExtreme implements AggregateColumn {
  readonly bytesPerKey = 60;
  heldBytes = 0;
  readonly #isMin: boolean;
  readonly #bests: (number | string | undefined)[] = [];
  /** How a best number is written, where that is not its usual way. */
  readonly #texts = new Map<number, string>();

  constructor(kind: "min" | "max") {
    this.#isMin = kind === "min";
  }

  add({ count, numbers }: Numbered, values: ArrayLike<unknown>): void {
    const bests = this.#bests;
    for (let i = 0; i < count; i++) {
      const key = numbers[i] as number;
      if (key === NO_KEY) continue;
      const value = values[i];
      if (value === undefined || value === null) continue;
      const text = typeof value === "string" ? value : undefined;
      const found = text === undefined ? (value as number) : (numberOf(text) ?? text);
      const best = bests[key];
      // All are numbers, or all are text.
      if (best !== undefined && !(this.#isMin ? found < best : found > best)) continue;
      this.heldBytes -= this.#lengthAt(key);
      bests[key] = found;
      if (text === undefined || typeof found === "string") this.#texts.delete(key);
      else this.#texts.set(key, text);
      this.heldBytes += this.#lengthAt(key);
    }
  }

  result(key: number): unknown {
    return this.#texts.get(key) ?? this.#bests[key];
  }

  states(keys: number): unknown {
    return Array.from({ length: keys }, (_, key) => this.result(key));
  }

  merge(keys: Numbered, states: never): void {
    this.add(keys, states);
  }

  /** Bytes of the text that is held for a key. */
  #lengthAt(key: number): number {
    const best = this.#texts.get(key) ?? this.#bests[key];
    return typeof best === "string" ? ENTRY_BYTES + 2 * best.length : 0;
  }
}

/** Stands in `Numbered.numbers` for a record whose key has no number. */
const NO_KEY = 0xffff_ffff;
/** Bytes of an entry of a Map, and of the object that holds a text. */
const ENTRY_BYTES = 60;

/** The number that a text of CSV says, as people write them. */
export function numberOf(text: string): number | undefined {
  return /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*$/i.test(text) ? Number(text) : undefined;
}
