import type { GroupKey } from "./key/group-key.js";

/**
 * A source of records. Iterating it parses each record; {@link Records.batches} gives them as bytes.
 * A source over paths can be read any number of times, one over a stream once.
 */
export interface Records<R> extends AsyncIterable<R> {
  readonly format: RecordFormat<R>;
  /** Bytes of all inputs as they are stored (compressed ones too), or `undefined` where unknown. */
  byteLength(): Promise<number | undefined>;
  /**
   * Whole records, in input order, as bytes. A batch holds until the next one is asked for.
   * Memory is bounded by twice the batch size and the longest record, also for an endless pipe.
   */
  batches(options?: BatchOptions): AsyncIterable<ByteBatch>;
  /**
   * Cuts the source at record boundaries into at most `n` parts for other threads, in input order;
   * `undefined` where it cannot be cut: a stream, a compressed file; and where there is `onReject`.
   */
  split(n: number): Promise<readonly RecordsPart[] | undefined>;
}

export interface BatchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes that a batch holds at most, unless one record is longer. Default 1 MiB. */
  readonly batchBytes?: number | undefined;
  /**
   * Bytes of the longest record; a longer one is `ERR_PARTD_CORRUPT`, since mostly a line ending or
   * a closing quote is missing. From 16 to 2^30; default 2^30.
   */
  readonly longestRecord?: number | undefined;
}

/** Records one behind the other, each with its line ending. The last one always has one. */
export interface ByteBatch {
  readonly bytes: Uint8Array;
  /** Where the first record stands. */
  readonly position: Position;
  /** Bytes of all inputs read so far, counted as {@link Records.byteLength} does. */
  readonly consumed: number;
}

export interface Position {
  /** The path, or `<stream>`. */
  readonly source: string;
  /** Whether `byteOffset` is one of the file at the path `source`. */
  readonly isInFile: boolean;
  /** The line, from 1. `undefined` in a file: it is counted when an error needs it. */
  readonly line: number | undefined;
  /** Bytes before it in the input, after decompression. */
  readonly byteOffset: number;
}

/** A piece of a file: plain data, which a worker turns back into records by `openPart`. */
export interface RecordsPart {
  readonly path: string;
  /** Bytes `[start, end)` of the file. */
  readonly start: number;
  readonly end: number;
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
      /** The line of names that the files begin with, if they do. */
      readonly header: string | undefined;
    };

export interface RecordFormat<R> {
  readonly name: "ndjson" | "csv";
  /** Bytes to write before the records of each output: a CSV's header. Known once a batch came. */
  readonly header: Uint8Array | undefined;
  /** One record, with or without its line ending. @throws `ERR_PARTD_CORRUPT` */
  parse(bytes: Uint8Array, start?: number, end?: number): R;
  /** What {@link parse} reads, with its line ending. */
  serialize(record: R): Uint8Array;
  /**
   * Finds fields in batches without parsing: dots lead into objects, `\.` is a dot of the name.
   * Of two fields or more the key is a list; without any, only records are found and validated.
   */
  scanner(fields: readonly string[], options?: ScannerOptions): Scanner;
}

export interface ScannerOptions {
  /** Fields of which {@link Scan.numbers} and {@link Scan.kinds} tell the values. */
  readonly values?: readonly string[] | undefined;
  /** Takes malformed records, in place of an error at the first one. */
  readonly onReject?: OnReject | undefined;
}

export type OnReject = (rejected: RejectedRecord) => void;

export interface RejectedRecord {
  /** The record with its line ending, the receiver's own. */
  readonly bytes: Uint8Array;
  /** `RecordError`, with file, line, column and offset. */
  readonly error: Error;
}

export interface Scanner {
  /** @throws `ERR_PARTD_CORRUPT` for a malformed record, unless there is `onReject`. */
  scan(batch: ByteBatch): Scan;
}

/** The records of a batch and their keys. All of it holds until the scanner's next scan. */
export interface Scan {
  readonly count: number;
  /** The batch's records, without blank lines and rejected ones. */
  readonly bytes: Uint8Array;
  /** Record `i` is `bytes[ends[i - 1] .. ends[i])`; the first begins at 0. */
  readonly ends: Uint32Array;
  /** The encoded key of record `i` is `keys[keyStarts[i] .. keyEnds[i])`. */
  readonly keys: Uint8Array;
  readonly keyStarts: Uint32Array;
  readonly keyEnds: Uint32Array;
  /** The halves of the XXH64 of each encoded key. */
  readonly hashLow: Uint32Array;
  readonly hashHigh: Uint32Array;
  key(i: number): GroupKey;
  /** Whether the field, or one of several, is not in the record. */
  missing(i: number): boolean;
  /** The numbers in a field of `values`, by its index there; NaN where there is no number. */
  numbers(value: number): Float64Array;
  /** What that field holds in each record: a {@link VALUE_KIND}. */
  kinds(value: number): Uint8Array;
  /** The records ordered by the partition of their key, of `partitions` in all. */
  partition(partitions: number): Scattered;
  /** The same by an assignment of one's own: the partition of each record. */
  scatter(assignment: ArrayLike<number>, partitions: number): Scattered;
}

/** A batch by partition; within each, records stand in input order. Holds until the next scan. */
export interface Scattered {
  /** The records of partition `p` are `bytes[offsets[p] .. offsets[p + 1])`. */
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  /** Records of each partition. */
  readonly counts: Uint32Array;
}

/**
 * What a field holds. In a CSV an empty field is `null`, unless it stands in quotes, and text that JSON
 * would read as a number is one.
 */
export const VALUE_KIND = {
  missing: 0,
  null: 1,
  number: 2,
  text: 3,
  boolean: 4,
  other: 5,
} as const;

export type ValueKind = (typeof VALUE_KIND)[keyof typeof VALUE_KIND];
