import { isUtf8 } from "node:buffer";
import { firstInvalidUtf8, utf8Slice } from "../json/utf8.js";
import { encodeGroupKey } from "../key/group-key.js";
import { VALUE_KIND, type ValueKind } from "../records.js";
import type { Fault, RecordMatcher } from "../scan/record-matcher.js";

export interface CsvSyntax {
  /** The delimiter, as a byte. */
  readonly delimiter: number;
  /** Whether fields may be quoted, with double quotes. */
  readonly quote: boolean;
}

/** Reads rows of CSV, and keeps the positions of the last row's fields. */
export class CsvMatcher implements RecordMatcher {
  isBlank = false;
  fault: Fault | undefined;
  /** Number of fields in the last row. */
  count = 0;
  readonly #syntax: CsvSyntax;
  /** Number of fields that a row must have; undefined in a header. */
  readonly #width: number | undefined;
  /** The columns of the wanted fields; -1 for none. */
  readonly #columns: readonly number[];
  #bytes: Uint8Array = new Uint8Array(0);
  #starts = new Uint32Array(64);
  #ends = new Uint32Array(64);
  /** For each field, 0: unquoted; 1: quoted; 2: quoted, with doubled quotes inside. */
  #quoting = new Uint8Array(64);

  constructor(syntax: CsvSyntax, width: number | undefined, columns: readonly number[]) {
    this.#syntax = syntax;
    this.#width = width;
    this.#columns = columns;
  }

  next(bytes: Uint8Array, start: number): number {
    this.#bytes = bytes;
    this.fault = undefined;
    this.count = 0;
    let at = start;
    for (;;) {
      at = this.#field(at);
      if (at >= bytes.length || bytes[at] === LF) break;
      at++; // The delimiter.
    }
    const end = Math.min(at + 1, bytes.length);
    this.#trimCarriageReturn(at);
    this.isBlank = this.count === 1 && this.#starts[0] === this.#ends[0] && this.#quoting[0] === 0;
    if (this.isBlank) return end;
    if (!this.fault && !isUtf8(bytes.subarray(start, at))) {
      this.fault = { offset: firstInvalidUtf8(bytes, start, at), what: "is not UTF-8" };
    }
    if (!this.fault && this.#width !== undefined && this.count !== this.#width) {
      const fields = this.count === 1 ? "1 field" : `${this.count} fields`;
      const what = `has ${fields} where the header has ${this.#width}`;
      this.fault = { offset: start, what };
    }
    return end;
  }

  /** The text of a field of the last row. */
  text(column: number): string {
    const text = utf8Slice.call(this.#bytes, this.#starts[column]!, this.#ends[column]!);
    return this.#quoting[column] === 2 ? text.replaceAll('""', '"') : text;
  }

  key(field: number): Uint8Array {
    const column = this.#columns[field]!;
    if (column < 0) return MISSING;
    const bytes = this.#bytes;
    const start = this.#starts[column]!;
    const end = this.#ends[column]!;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) {
        return encodeGroupKey(this.text(column));
      }
    }
    const key = new Uint8Array(end - start + 2);
    key[0] = QUOTE;
    key.set(bytes.subarray(start, end), 1);
    key[key.length - 1] = QUOTE;
    return key;
  }

  kind(field: number): ValueKind {
    const column = this.#columns[field]!;
    if (column < 0) return VALUE_KIND.missing;
    if (this.#starts[column] === this.#ends[column]) {
      return this.#quoting[column] === 0 ? VALUE_KIND.null : VALUE_KIND.text;
    }
    return JSON_NUMBER.test(this.text(column)) ? VALUE_KIND.number : VALUE_KIND.text;
  }

  number(field: number): number {
    return Number(this.text(this.#columns[field]!));
  }

  offsetOf(field: number): number {
    return this.#starts[this.#columns[field]!]!;
  }

  /** Reads a field. Returns the position of its delimiter, its newline or the end of the bytes. */
  #field(at: number): number {
    const bytes = this.#bytes;
    const { delimiter, quote } = this.#syntax;
    const index = this.count++;
    if (index === this.#starts.length) this.#grow();
    let p = at;
    if (quote && bytes[p] === QUOTE) {
      p = this.#quoted(index, p);
      const next = bytes[p];
      const isEnd =
        next === undefined ||
        next === delimiter ||
        next === LF ||
        (next === CR && bytes[p + 1] === LF);
      if (isEnd) return next === CR ? p + 1 : p;
      this.fault ??= { offset: p, what: "has text behind a closing quote" };
    } else {
      this.#starts[index] = at;
      this.#quoting[index] = 0;
    }
    for (; p < bytes.length; p++) {
      const byte = bytes[p];
      if (byte === delimiter || byte === LF) break;
      if (byte === QUOTE && quote) {
        this.fault ??= { offset: p, what: "has a quote inside a field without quotes" };
      }
    }
    if (this.#quoting[index] === 0) this.#ends[index] = p;
    return p;
  }

  /** Reads on after the closing quote. */
  #quoted(index: number, at: number): number {
    const bytes = this.#bytes;
    this.#starts[index] = at + 1;
    this.#quoting[index] = 1;
    for (let p = at + 1; ; p++) {
      p = bytes.indexOf(QUOTE, p);
      if (p < 0) {
        this.fault ??= { offset: at, what: "has a quote that is never closed" };
        this.#ends[index] = bytes.length;
        return bytes.length;
      }
      if (bytes[p + 1] !== QUOTE) {
        this.#ends[index] = p;
        return p + 1;
      }
      this.#quoting[index] = 2;
      p++;
    }
  }

  #trimCarriageReturn(end: number): void {
    const last = this.count - 1;
    const isOpen = this.#quoting[last] === 0 && this.#ends[last]! > this.#starts[last]!;
    if (isOpen && this.#bytes[end] === LF && this.#bytes[end - 1] === CR) this.#ends[last]!--;
  }

  #grow(): void {
    const length = 2 * this.#starts.length;
    const starts = new Uint32Array(length);
    const ends = new Uint32Array(length);
    const quoting = new Uint8Array(length);
    starts.set(this.#starts);
    ends.set(this.#ends);
    quoting.set(this.#quoting);
    this.#starts = starts;
    this.#ends = ends;
    this.#quoting = quoting;
  }
}

const JSON_NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const MISSING = encodeGroupKey(undefined);
const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
