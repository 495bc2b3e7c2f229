import { isPartdError } from "@partd/core";
import { encodeList } from "../key/group-key.js";
import { type ByteBatch, type OnReject, VALUE_KIND, type ValueKind } from "../records.js";
import { RecordError } from "./record-error.js";

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

/** Reads one record of a batch: a key and values, a blank line, or an error. */
export class RecordReader {
  isBlank = false;
  error: RecordError | undefined;
  key: Uint8Array = NO_KEY;
  isMissing = false;
  /** For each value field. */
  readonly kinds: Uint8Array;
  readonly numbers: Float64Array;
  readonly #matcher: RecordMatcher;
  readonly #keys: number;

  /** @param keys fields of the key, which come first in the matcher; the `values` follow. */
  constructor(matcher: RecordMatcher, keys: number, values: number) {
    this.#matcher = matcher;
    this.#keys = keys;
    this.kinds = new Uint8Array(values);
    this.numbers = new Float64Array(values);
  }

  /** Reads the record at `start`. Returns its end. */
  read({ bytes, position }: ByteBatch, start: number): number {
    const matcher = this.#matcher;
    const end = matcher.next(bytes, start);
    this.isBlank = matcher.isBlank;
    this.error = undefined;
    if (this.isBlank) return end;
    if (matcher.fault) {
      this.error = RecordError.at(position, bytes, start, matcher.fault);
      return end;
    }
    for (let value = 0; value < this.kinds.length; value++) {
      const kind = matcher.kind(this.#keys + value);
      this.kinds[value] = kind;
      this.numbers[value] = kind === VALUE_KIND.number ? matcher.number(this.#keys + value) : NaN;
    }
    let field = 0;
    try {
      this.isMissing = false;
      if (this.#keys === 1) {
        this.key = this.#keyOf(0);
      } else if (this.#keys > 1) {
        const items: Uint8Array[] = [];
        for (; field < this.#keys; field++) items.push(this.#keyOf(field));
        this.key = encodeList(items);
      }
    } catch (cause) {
      if (!isPartdError(cause, "ERR_PARTD_KEY")) throw cause;
      const fault = {
        offset: matcher.offsetOf(field),
        // The matcher says of its own errors what the record has.
        what: cause.message.startsWith("has ") ? cause.message : OBJECT_KEY,
      };
      this.error = RecordError.at(position, bytes, start, fault, "ERR_PARTD_KEY", cause);
    }
    return end;
  }

  #keyOf(field: number): Uint8Array {
    const key = this.#matcher.key(field);
    this.isMissing ||= key[0] === 0;
    return key;
  }
}

const OBJECT_KEY = "has an object where its key should be";
const NO_KEY = new Uint8Array(0);
