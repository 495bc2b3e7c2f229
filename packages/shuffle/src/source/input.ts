import { setImmediate as immediate } from "node:timers/promises";
import { PartdError } from "@partd/core";
import { unlessAborted } from "@partd/core/author";
import type { ByteBatch, Records, Scan, Scanner } from "@partd/records";
import { batchOptions, type Reading, whereParsed } from "../run/record-limit.js";
import { heapSize } from "./heap-size.js";
import { KeyColumns } from "./key-columns.js";
import { BatchWriter, type KeyedBatch, selectedRecords } from "./keyed-batch.js";
import { checkJsonLine, decodeStructured, encodeStructured } from "./structured.js";

/**
 * Where records come from: a reader of `@partd/records`, whose records stay bytes until they are
 * needed; or any iterable or async iterable of records, such as an array or a stream of objects. The
 * run owns each record from then on, so a generator has to yield a new object for each.
 */
export type Source<R> = Records<R> | AsyncIterable<R> | Iterable<R>;

/** Decodes records from the bytes in which they are kept. */
export interface RecordCodec<R> {
  decode(bytes: Uint8Array, start: number, end: number): R;
  /**
   * Whether the bytes of records are lines of JSON, apart from those that {@link checkBytes} refuses.
   */
  readonly isJson: boolean;
  /**
   * Checks that other programs can read a record's bytes. Missing if they always can.
   *
   * @throws `ERR_PARTD_CODEC` for bytes in V8's format, which hold what JSON cannot.
   */
  checkBytes?(bytes: Uint8Array, start: number): void;
  /** Calls `use` with a record's key. Missing if a function makes keys: it is called once for each record. */
  readonly withKey?: WithKey | undefined;
}

/** Finds the encoded key in the bytes of a record. It is valid until `use` returns. */
type WithKey = <T>(bytes: Uint8Array, start: number, end: number, use: (key: Uint8Array) => T) => T;

/** A source as batches of bytes with keys. */
export interface Input<R> extends RecordCodec<R> {
  /** Bytes to come, if known. */
  byteLength(): Promise<number | undefined>;
  batches(reading: Reading): AsyncIterable<KeyedBatch>;
  /** Bytes read so far, counted as `byteLength` does; `undefined` if only the batches tell. */
  readonly consumed: number | undefined;
}

/** Gives records their keys: a key with its hash, or an order. */
export interface Keyer<R> {
  /**
   * Adds the record's key. @returns false if the record is left out.
   *
   * @param bytes returns a copy of the record's bytes.
   */
  writeKey(record: R, columns: KeyColumns, bytes: () => Uint8Array): boolean;
  /**
   * Keys the records of a reader without parsing them; `undefined` if the keyer needs the records
   * themselves.
   */
  scan?: ((records: Records<R>, reading: Reading) => Scans) | undefined;
  /** The fields of the key, if a key is made of fields alone. */
  readonly fields?: readonly string[] | undefined;
  /** Call this after all records. @throws `ERR_PARTD_VALUE` if none has the fields of the key. */
  end?(): void;
}

/** Batches with keys, and how many bytes of the input have been read after each. */
export type Scans = AsyncIterable<{ readonly batch: KeyedBatch; readonly consumed: number }>;

export function inputOf<R>(source: Source<R>, keyer: Keyer<R>): Input<R> {
  checkSource(source);
  return isRecords(source) ? new RecordsInput(source, keyer) : new ObjectInput(source, keyer);
}

/** @throws `ERR_PARTD_VALUE` for what cannot be iterated. */
export function checkSource(source: unknown): void {
  const iterable = source as Partial<AsyncIterable<unknown> & Iterable<unknown>> | undefined | null;
  if (
    iterable?.[Symbol.asyncIterator] ||
    (iterable?.[Symbol.iterator] && typeof source !== "string")
  ) {
    return;
  }
  throw new PartdError(
    "ERR_PARTD_VALUE",
    typeof source === "string"
      ? "The source of records is a text: open a file of that name with readNdjson(path), readCsv(path) or another reader."
      : "The source of records is an iterable or async iterable, such as an array, a stream, or what readNdjson() returns.",
  );
}

/** Bytes of a source, if known. */
export async function byteLengthOf(source: Source<unknown>): Promise<number | undefined> {
  return isRecords(source) ? source.byteLength() : undefined;
}

/** A source of objects, each of which is encoded to bytes. */
class ObjectInput<R> implements Input<R> {
  readonly consumed = undefined;
  readonly isJson = true;
  readonly #source: AsyncIterable<R> | Iterable<R>;
  readonly #keyer: Keyer<R>;

  constructor(source: AsyncIterable<R> | Iterable<R>, keyer: Keyer<R>) {
    this.#source = source;
    this.#keyer = keyer;
  }

  async byteLength(): Promise<undefined> {}

  async *batches({ signal }: Reading): AsyncGenerator<KeyedBatch> {
    const batch = new BatchWriter();
    for await (const records of inArrays(this.#source, signal)) {
      for (const record of records) {
        const encoded = encodeStructured(record);
        const bytes = () => new Uint8Array(Buffer.from(encoded));
        batch.addRecord(encoded);
        if (!this.#keyer.writeKey(record, batch, bytes)) batch.dropRecord();
        if (!batch.isFull) continue;
        signal?.throwIfAborted();
        yield batch;
        batch.clear();
      }
    }
    if (batch.count > 0) yield batch;
    this.#keyer.end?.();
  }

  decode(bytes: Uint8Array, start: number, end: number): R {
    return decodeStructured(bytes, start, end) as R;
  }

  checkBytes(bytes: Uint8Array, start: number): void {
    checkJsonLine(bytes, start);
  }
}

/**
 * Yields the records of a source in arrays, because an async generator takes a microtask for each
 * yield. Large records come in shorter arrays, judged by the array before. An idle source is left once
 * the signal is aborted.
 */
export async function* inArrays<R>(
  source: AsyncIterable<R> | Iterable<R>,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly R[]> {
  const arrays = arraysOf(source);
  try {
    for (;;) {
      const { value, done } = await unlessAborted(arrays.next(), signal);
      if (done) return;
      yield value;
    }
  } finally {
    const ended = arrays.return(undefined);
    await (signal?.aborted ? Promise.race([ended, immediate()]) : ended);
  }
}

async function* arraysOf<R>(source: AsyncIterable<R> | Iterable<R>): AsyncGenerator<readonly R[]> {
  let records: R[] = [];
  let most = FIRST_ARRAY;
  if (Symbol.asyncIterator in source) {
    for await (const record of source) {
      records.push(record);
      if (records.length < most) continue;
      yield records;
      records = [];
      most = fitting(record);
    }
  } else {
    for (const record of source) {
      records.push(record);
      if (records.length < most) continue;
      yield records;
      records = [];
      most = fitting(record);
    }
  }
  if (records.length > 0) yield records;
}

function fitting(record: unknown): number {
  return Math.max(1, Math.min(AT_ONCE, Math.floor(BYTES_AT_ONCE / heapSize(record))));
}

/** How many records the first array has, and how many and how large the others are at most. */
const FIRST_ARRAY = 4;
const AT_ONCE = 64;
const BYTES_AT_ONCE = 1 << 20;

/** The records of a reader, in their original bytes. */
export class RecordsInput<R> implements Input<R> {
  consumed = 0;
  readonly #records: Records<R>;
  readonly #keyer: Keyer<R>;

  readonly withKey: WithKey | undefined;

  constructor(records: Records<R>, keyer: Keyer<R>) {
    this.#records = records;
    this.#keyer = keyer;
    const { fields } = keyer;
    if (!fields) return;
    let scanner: Scanner | undefined;
    this.withKey = (bytes, start, end, use) => {
      scanner ??= records.format.scanner(fields);
      const scan = scanner.scan({
        bytes: bytes.subarray(start, end),
        position: NOWHERE,
        consumed: 0,
      });
      const key = use(scan.keys.subarray(scan.keyStarts[0], scan.keyEnds[0]));
      scan.free?.();
      return key;
    };
  }

  byteLength(): Promise<number | undefined> {
    return this.#records.byteLength();
  }

  async *batches(reading: Reading): AsyncGenerator<KeyedBatch> {
    const scans = this.#keyer.scan
      ? this.#keyer.scan(this.#records, reading)
      : scanAll(this.#records, [], whereParsed(reading), parsing(this.#records, this.#keyer));
    for await (const { batch, consumed } of scans) {
      this.consumed = consumed;
      if (batch.count > 0) yield batch;
    }
    this.#keyer.end?.();
  }

  decode(bytes: Uint8Array, start: number, end: number): R {
    const { format } = this.#records;
    return format.parseScanned
      ? format.parseScanned(bytes, start, end)
      : format.parse(bytes, start, end);
  }

  get isJson(): boolean {
    return this.#records.format.name === "ndjson";
  }
}

/** The place of a record that was read before. */
const NOWHERE = { source: "<record>", isInFile: false, line: undefined, byteOffset: 0 };

export function isRecords<R>(source: AsyncIterable<R> | Iterable<R>): source is Records<R> {
  const records = source as Partial<Records<R>>;
  return typeof records.batches === "function" && typeof records.format?.scanner === "function";
}

/**
 * Scans each batch of a reader for fields, and keys it.
 *
 * @param values further fields whose numbers the scans return.
 */
export async function* scanAll<R>(
  records: Records<R>,
  fields: readonly string[],
  reading: Reading,
  toKeyed: (scan: Scan, batch: ByteBatch) => KeyedBatch = (scan) => scan,
  values: readonly string[] = [],
): AsyncGenerator<{ batch: KeyedBatch; consumed: number }> {
  const scanner = records.format.scanner(fields, { values });
  for await (const batch of records.batches(batchOptions(reading)) as AsyncIterable<ByteBatch>) {
    const scan = scanner.scan(batch);
    const keyed = toKeyed(scan, batch);
    try {
      yield { batch: keyed, consumed: batch.consumed };
    } finally {
      keyed.free?.();
      scan.free?.();
    }
  }
}

/** Keys records by parsing each, for a key that a function gives. */
function parsing<R>(records: Records<R>, keyer: Keyer<R>): (scan: Scan) => KeyedBatch {
  return keyedBy((scan, i, columns) => {
    const start = i === 0 ? 0 : scan.ends[i - 1]!;
    const end = scan.ends[i]!;
    const bytes = () => new Uint8Array(scan.bytes.subarray(start, end));
    return keyer.writeKey(records.format.parse(scan.bytes, start, end), columns, bytes);
  });
}

/** Writes the keys of batches one by one; a record without a key is left out. */
export function keyedBy(
  write: (scan: Scan, i: number, columns: KeyColumns) => boolean,
): (scan: Scan) => KeyedBatch {
  const columns = new KeyColumns();
  return (scan) => {
    columns.clear();
    let present: number[] | undefined;
    for (let i = 0; i < scan.count; i++) {
      if (write(scan, i, columns)) present?.push(i);
      else present ??= Array.from({ length: i }, (_, n) => n);
    }
    const { count, keys, keyStarts, keyEnds, hashLow, hashHigh } = columns;
    const { bytes, ends } = present ? selectedRecords(scan, present) : scan;
    const free = () => columns.clear();
    return { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh, free };
  };
}
