import type { OnReject, ValueKind } from "../records.js";

/**
 * Reads records of a format one by one in plain JavaScript, and finds the fields it was made for.
 */
export interface RecordMatcher {
  /** Reads the record that begins at `start`. Returns its end, after its line ending. */
  next(bytes: Uint8Array, start: number): number;
  /** Whether the record was a blank line, which does not count. */
  readonly isBlank: boolean;
  readonly fault: Fault | undefined;
  /**
   * The encoded key of a field of the last record, valid until the next one.
   *
   * @throws `ERR_PARTD_KEY` for what is not a key, with a message such as "has a number beyond …" unless it is an object.
   */
  key(field: number): Uint8Array;
  /** The kind of the field's value. */
  kind(field: number): ValueKind;
  /** The field's number, if it holds one. */
  number(field: number): number;
  /** The position of the field's value. */
  offsetOf(field: number): number;
}

/** Why a record is malformed. */
export interface Fault {
  /** The offset of the first malformed byte. */
  readonly offset: number;
  readonly what: string;
}

/**
 * The fields that a scanner finds, in the order of its matcher: first the key's, then the values.
 */
export interface ScanPlan {
  readonly keys: number;
  readonly values: number;
  readonly onReject: OnReject | undefined;
  /** Whether to keep totals by key. */
  readonly totals?: boolean;
  /** Where partners have the fields of the key. */
  readonly partners?: { readonly syntax: WasmSyntax; readonly matcher: RecordMatcher } | undefined;
}

/** A format as `packages/wasm/src/scan.c` knows it, and the paths or columns of its fields. */
export type WasmSyntax =
  | { readonly name: "ndjson"; readonly paths: readonly (readonly string[])[] }
  | {
      readonly name: "csv";
      readonly delimiter: number;
      readonly quote: boolean;
      readonly width: number;
      readonly columns: readonly number[];
    };
