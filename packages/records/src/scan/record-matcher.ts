import type { ValueKind } from "../records.js";

/** Reads record after record of a format in plain JavaScript, and finds the fields it was made for. */
export interface RecordMatcher {
  /** Reads the record that begins at `start`. Returns where it ends, behind its line ending. */
  next(bytes: Uint8Array, start: number): number;
  /** Whether it was a blank line, which is no record. */
  readonly isBlank: boolean;
  readonly fault: Fault | undefined;
  /**
   * The encoded key of a field of the last record, until the next one.
   * @throws `ERR_PARTD_KEY` for an object.
   */
  key(field: number): Uint8Array;
  /** What that field holds. */
  kind(field: number): ValueKind;
  /** Its number, if it holds one. */
  number(field: number): number;
  /** Where its value stands. */
  offsetOf(field: number): number;
}

/** Why a record is malformed. */
export interface Fault {
  /** The byte from which on it is. */
  readonly offset: number;
  readonly what: string;
}
