import type { ValueKind } from "../records.js";

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
