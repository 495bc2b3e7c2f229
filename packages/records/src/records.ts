import type { GroupKey } from "./key/group-key.js";

/**
 * A source of records. Iterating parses each record; {@link Records.batches} gives them as bytes. A
 * source of paths can be read any number of times, a stream once.
 */
export interface Records<R> extends AsyncIterable<R> {
  /** How the bytes of its records are read. */
  readonly format: RecordFormat<R>;
  /** Bytes of all inputs as stored, compressed or not; `undefined` if unknown. */
  byteLength(): Promise<number | undefined>;
  /**
   * Whole records in input order, as bytes. A batch is valid until the next one is requested.
   * Memory is at most twice the batch size and the longest record, even for an endless pipe.
   */
  batches(options?: BatchOptions): AsyncIterable<ByteBatch>;
  /**
   * Cuts the source at record boundaries into at most `n` parts for other threads, in input order.
   * `undefined` if it cannot be cut: a stream, a compressed file, or a source with `onReject`.
   */
  split(n: number, options?: RecordsSplitOptions): Promise<readonly RecordsPart[] | undefined>;
}

export interface RecordsSplitOptions {
  /**
   * Whether to guess where a row of CSV begins, from the bytes around each cut. A newline may be inside
   * quotes, which only reading the file from its beginning would tell. The reader of the parts has to
   * compare {@link PartRecords.reached} with the next part's start. Default false.
   */
  readonly guess?: boolean | undefined;
}

/**
 * The records of a part. If a record crosses the part's end, it is read as a whole, and further records
 * are read up to its end at least: the file has grown, or the part's start was a wrong guess.
 */
export interface PartRecords<R> extends Records<R> {
  /**
   * Where in the file the records end that have been read. When all have been read, the next part
   * begins there: a part with another guessed start must be opened again with this as its start.
   */
  readonly reached: number;
}

export interface BatchOptions {
  /** Ends the reading: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The most bytes of a batch, unless one record is longer. Default 1 MiB. */
  readonly batchBytes?: number | undefined;
  /** Memory to read into, instead of new memory of `batchBytes`. A batch uses at most all of it. */
  readonly into?: Uint8Array<ArrayBuffer> | undefined;
  /**
   * The most bytes of a record. A longer one is `ERR_PARTD_CORRUPT`: usually a line ending or a
   * closing quote is missing. 16 to 2^30; default 2^30.
   */
  readonly longestRecord?: number | undefined;
  /** The end of the error message for a record that is too long: how to allow it. Default: nothing. */
  readonly longestRecordAdvice?: string | undefined;
  /**
   * Called, and awaited, with the bytes that the reader is about to allocate for a record longer than a
   * batch; and with 0 once it has freed them.
   */
  readonly onGrow?: ((byteLength: number) => Promise<void> | void) | undefined;
}

/** Whole records, each with its line ending, which the last record always has. */
export interface ByteBatch {
  /** The records, end to end. */
  readonly bytes: Uint8Array;
  /** The position of the first record. */
  readonly position: Position;
  /** Bytes of all inputs read so far, counted as {@link Records.byteLength} does. */
  readonly consumed: number;
}

/** A place in a source. */
export interface Position {
  /** The path, or `<stream>`. */
  readonly source: string;
  /** Whether `byteOffset` is an offset in the file `source`. */
  readonly isInFile: boolean;
  /** The line, from 1. `undefined` in a file: lines are counted only when an error needs them. */
  readonly line: number | undefined;
  /** The offset in the input, after decompression. */
  readonly byteOffset: number;
}

/** A part of a file, as plain data, which `openPart` turns back into records in a worker. */
export interface RecordsPart {
  /** The file. */
  readonly path: string;
  /** Bytes `[start, end)` of the file. */
  readonly start: number;
  readonly end: number;
  /** Whether `start` is a guess: see {@link RecordsSplitOptions.guess}. Default false. */
  readonly isGuess?: boolean;
  /** The format of its records, with the header, which a worker then need not read. */
  readonly format: FormatDescription;
}

/** A format as plain data. */
export type FormatDescription =
  | { readonly name: "ndjson" }
  | {
      readonly name: "csv";
      readonly delimiter: string;
      readonly quote: boolean;
      readonly columns: readonly string[];
      /** The header line with which the files begin, if they do. */
      readonly header: string | undefined;
    };

/** How records are written as bytes, and found and read in them. */
export interface RecordFormat<R> {
  /** JSON arrays are read as lines: `"ndjson"`. TSV is `"csv"`. */
  readonly name: "ndjson" | "csv";
  /**
   * Bytes to write before the records of each output, such as a CSV header. Known after the first
   * batch.
   */
  readonly header: Uint8Array | undefined;
  /** Parses one record, with or without its line ending. @throws `ERR_PARTD_CORRUPT` */
  parse(bytes: Uint8Array, start?: number, end?: number): R;
  /** The same for a record that a scan has found, which need not be checked again. Default: {@link parse}. */
  readonly parseScanned?: ((bytes: Uint8Array, start: number, end: number) => R) | undefined;
  /** The bytes that {@link parse} reads, with a line ending. */
  serialize(record: R): Uint8Array;
  /**
   * Finds fields in batches without parsing: dots lead into objects, and `\.` is a dot in a name.
   * With two fields or more the key is a list; without fields, records are only found and
   * validated.
   */
  scanner(fields: readonly string[], options?: ScannerOptions): Scanner;
}

/** What a scanner finds besides keys. */
export interface ScannerOptions {
  /** Fields whose values {@link Scan.numbers} and {@link Scan.kinds} give. */
  readonly values?: readonly string[] | undefined;
  /** Receives malformed records, instead of an error at the first. */
  readonly onReject?: OnReject | undefined;
  /** Whether to keep {@link Scanner.totals}. Default false. */
  readonly totals?: boolean | undefined;
  /**
   * For NDJSON: the fields of the partners' key, as many as of the records' own. Default: there are no
   * partners.
   */
  readonly partners?: readonly string[] | undefined;
}

/** Receives malformed records, which are then passed over. */
export type OnReject = (rejected: RejectedRecord) => void;

/** A malformed record. */
export interface RejectedRecord {
  /** The record with its line ending; the receiver may keep the bytes. */
  readonly bytes: Uint8Array;
  /** `RecordError`, with file, line, column and offset. */
  readonly error: Error;
}

/** Finds the records of a batch and their fields, without parsing. */
export interface Scanner {
  /** @throws `ERR_PARTD_CORRUPT` for a malformed record, unless there is `onReject`. */
  scan(batch: ByteBatch): Scan;
  /** Totals by key, if the scanner was opened with them; `undefined` if there is no WebAssembly. */
  readonly totals?: Totals | undefined;
  /** The records to join the scanned ones with; `undefined` if there is no WebAssembly. */
  readonly partners?: Partners | undefined;
}

/**
 * Lines of JSON, held by key, to be joined with other lines. A key that is missing or `null`, or a list
 * with such an item, has no partners, as in SQL.
 */
export interface Partners {
  /**
   * Holds the records of a batch, each under its key, in order. Returns false, and holds none of them,
   * if the batch exceeds 32 MiB or all held records exceed 1 GiB.
   */
  keep(batch: ByteBatch): boolean;
  /**
   * The records of the last scan with their partners, in pieces that the caller may keep, before the next scan:
   *
   * - `"inner"`: a line `[record,partner]` for each pair; `"left"`: also `[record,null]` for a record without one.
   * - `"semi"`, `"anti"`: the records that have partners, or none.
   *
   * `undefined` for a scan of more than 32 MiB, or one that is not the last.
   */
  lines(
    scan: Scan,
    kind: "inner" | "left" | "semi" | "anti",
  ): Iterable<Uint8Array<ArrayBuffer>> | undefined;
  /** Bytes of memory that the held records take. */
  readonly byteLength: number;
}

/** Totals by key of all scans that were added. */
export interface Totals {
  /**
   * Adds the records of the last scan: all of them or, if this returns false, none. It takes only
   * numbers, `null` and missing values, and it may have no room.
   */
  add(scan: Scan): boolean;
  /** The indices of those records added last whose keys were new; valid until the next scan. */
  firsts(): Uint32Array;
  /** Bytes of memory that the totals take. */
  readonly byteLength: number;
  /** Returns a copy of the totals. */
  take(): KeyTotals;
}

/** Totals by key, in the order of the keys' first records. */
export interface KeyTotals {
  /** How many keys there are. */
  readonly count: number;
  /** The encoded keys, end to end. */
  readonly keys: Uint8Array<ArrayBuffer>;
  /** Where each of them ends in `keys`. */
  readonly keyEnds: Uint32Array<ArrayBuffer>;
  /** The halves of each encoded key's XXH64. */
  readonly hashLow: Uint32Array;
  readonly hashHigh: Uint32Array;
  /** The number of records of each key. */
  readonly records: Float64Array;
  /** One for each of {@link ScannerOptions.values}. */
  readonly values: readonly NumberTotals[];
}

/** Totals of a field's numbers: each array has one item a key, in the order of {@link KeyTotals.keys}. */
export interface NumberTotals {
  /** How many of the key's records have a number in the field. */
  readonly counts: Float64Array;
  /** The numbers added in input order, from 0. */
  readonly sums: Float64Array;
  /** `Infinity` for a key without numbers. */
  readonly minima: Float64Array;
  /** `-Infinity` for a key without numbers. */
  readonly maxima: Float64Array;
}

/** The records of a batch and their keys, valid until the scanner's next scan. */
export interface Scan {
  /** Records of the scan. */
  readonly count: number;
  /** The batch's records, without blank lines and rejected ones. */
  readonly bytes: Uint8Array;
  /** Record `i` is `bytes[ends[i - 1] .. ends[i])`; the first begins at 0. */
  readonly ends: Uint32Array;
  /** The encoded key of record `i` is `keys[keyStarts[i] .. keyEnds[i])`. */
  readonly keys: Uint8Array;
  /** Where the encoded key of each record begins in `keys`. */
  readonly keyStarts: Uint32Array;
  /** Where it ends. */
  readonly keyEnds: Uint32Array;
  /** The halves of each encoded key's XXH64. */
  readonly hashLow: Uint32Array;
  readonly hashHigh: Uint32Array;
  /** The key of record `i`, decoded. */
  key(i: number): GroupKey;
  /** Whether the record lacks the key's field, or one of several. */
  missing(i: number): boolean;
  /** The numbers in the field with this index in `values`; NaN for other values. */
  numbers(value: number): Float64Array;
  /** The kind of that field's value in each record: a {@link VALUE_KIND}. */
  kinds(value: number): Uint8Array;
  /** The records ordered by the partition of their key, among `partitions`. */
  partition(partitions: number): Scattered;
  /** Frees the memory of long keys at once, when the scan is no longer needed. The next scan may do without. */
  free?(): void;
  /** The records ordered by a given partition for each. */
  scatter(assignment: ArrayLike<number>, partitions: number): Scattered;
}

/** A batch ordered by partition, within each in input order. Valid until the next scan. */
export interface Scattered {
  /** The records of partition `p` are `bytes[offsets[p] .. offsets[p + 1])`. */
  readonly bytes: Uint8Array;
  /** Where each partition begins; one more number than partitions. */
  readonly offsets: Uint32Array;
  /** Records of each partition. */
  readonly counts: Uint32Array;
}

/**
 * The kind of a field's value. In CSV, an empty unquoted field is `null`, and text that JSON would
 * read as a number is one.
 */
export const VALUE_KIND = {
  missing: 0,
  null: 1,
  number: 2,
  text: 3,
  boolean: 4,
  other: 5,
} as const;

/** One of {@link VALUE_KIND}. */
export type ValueKind = (typeof VALUE_KIND)[keyof typeof VALUE_KIND];
