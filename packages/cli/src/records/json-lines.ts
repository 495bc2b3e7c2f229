import { decodeGroupKey } from "@partd/records";
import type { EncodedEntries } from "@partd/shuffle";
import { jsonText } from "./json-text.js";

/** Entries, and which of them are written, in this order. */
export interface OrderedEntries extends EncodedEntries {
  readonly order: Uint32Array;
}

/**
 * Writes rows as lines of JSON, straight to bytes. As text they take twice the time: a string for each
 * number, one for each concatenation, and a copy of all.
 */
export class JsonLines {
  /** What stands before each value: `{"user":`, `,"count":`. */
  readonly #starts: readonly Uint8Array[];
  #full: Uint8Array[] = [];
  #bytes = Buffer.alloc(0);
  /** Where the bytes begin that were not taken yet. */
  #from = 0;
  #at = 0;

  constructor(names: readonly string[]) {
    this.#starts = names.map((name, i) => {
      return Buffer.from(`${i === 0 ? "{" : ","}${JSON.stringify(name)}:`);
    });
  }

  /** @param rows a value for each name. @returns the lines, in pieces that stay as they are. */
  of(rows: readonly (readonly unknown[])[]): readonly Uint8Array[] {
    for (const row of rows) {
      for (let i = 0; i < this.#starts.length; i++) {
        const start = this.#starts[i] as Uint8Array;
        this.#addBytes(start, 0, start.length);
        this.#addValue(row[i]);
      }
      this.#addBytes(END, 0, END.length);
    }
    this.#cut();
    return this.#full.splice(0);
  }

  /** Lines of a key and its value each; most keys lie there as JSON, and are copied. */
  ofEncoded({ keys, keyEnds, values, order }: OrderedEntries): readonly Uint8Array[] {
    const [beforeKey, beforeValue] = this.#starts as [Uint8Array, Uint8Array];
    for (const n of order) {
      const start = n === 0 ? 0 : (keyEnds[n - 1] as number);
      const end = keyEnds[n] as number;
      this.#addBytes(beforeKey, 0, beforeKey.length);
      if ((keys[start] as number) >= SPACE) this.#addBytes(keys, start, end);
      else this.#addValue(decodeGroupKey(keys, start, end));
      this.#addBytes(beforeValue, 0, beforeValue.length);
      this.#addValue(values[n]);
      this.#addBytes(END, 0, END.length);
    }
    this.#cut();
    return this.#full.splice(0);
  }

  #addValue(value: unknown): void {
    if (typeof value === "string") {
      if (value.length <= SHORT && this.#addPlain(value)) return;
    } else if (typeof value === "number" && value >= 0 && (value | 0) === value) {
      this.#addDigits(value);
      return;
    }
    const text = jsonText(value);
    this.#reserve(Buffer.byteLength(text));
    this.#at += this.#bytes.write(text, this.#at);
  }

  /** Adds a text of ASCII without escapes. @returns false, and adds nothing, for another. */
  #addPlain(text: string): boolean {
    this.#reserve(text.length + 2);
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = QUOTE;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) return false;
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.#at = at;
    return true;
  }

  /** @param integer from 0 to 2^31 - 1. */
  #addDigits(integer: number): void {
    let digits = 1;
    for (let power = 10; power <= integer; power *= 10) digits++;
    this.#reserve(digits);
    this.#at += digits;
    for (let at = this.#at, left = integer; digits > 0; digits--) {
      const tenth = Math.floor(left / 10);
      this.#bytes[--at] = ZERO + left - tenth * 10;
      left = tenth;
    }
  }

  #addBytes(added: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = start; i < end; i++) bytes[at++] = added[i] as number;
    this.#at = at;
  }

  #reserve(length: number): void {
    if (this.#bytes.length - this.#at >= length) return;
    this.#cut();
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(PIECE, length));
    this.#from = 0;
    this.#at = 0;
  }

  #cut(): void {
    if (this.#at > this.#from) this.#full.push(this.#bytes.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }
}

const END = Buffer.from("}\n");
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
/** Encoded keys that are not JSON begin with a lower byte. */
const SPACE = 0x20;
/** Longer texts are written by Buffer. */
const SHORT = 64;
const PIECE = 1 << 17;
