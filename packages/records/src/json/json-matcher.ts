import { isUtf8 } from "node:buffer";
import { PartdError } from "@partd/core";
import { DEEPEST_LIST, encodeGroupKey, encodeList, KEY_TAG } from "../key/group-key.js";
import { VALUE_KIND, type ValueKind } from "../records.js";
import type { Fault, RecordMatcher } from "../scan/record-matcher.js";
import { isCanonicalNumber, isLongInteger, parseKeyNumber } from "./json-number.js";
import { firstInvalidUtf8 } from "./utf8.js";

/**
 * Reads lines of JSON and finds fields, with the results of `JSON.parse`: it accepts the same
 * texts, and of duplicate names the last counts. Lines must be UTF-8; others are malformed.
 */
export class JsonMatcher implements RecordMatcher {
  isBlank = false;
  fault: Fault | undefined;

  /** The names along each field's path as JSON text, in which they are compared. */
  readonly #paths: readonly (readonly Uint8Array[])[];
  readonly #all: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  /** The position of each field's value in the last record; the start is -1 if there is none. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  #faultAt = -1;
  /** Whether the last string read has an escape that `JSON.stringify` would write differently. */
  #isEscaped = false;
  #hasHighBytes = false;
  /** The open brackets, as their opening bytes. */
  readonly #open: number[] = [];
  /** The end of the list whose key was read last. */
  #listEnd = 0;

  constructor(paths: readonly (readonly string[])[]) {
    const encoder = new TextEncoder();
    this.#paths = paths.map((names) => names.map((name) => encoder.encode(JSON.stringify(name))));
    this.#all = paths.length === 32 ? -1 : (1 << paths.length) - 1;
    this.#starts = new Int32Array(paths.length);
    this.#ends = new Int32Array(paths.length);
  }

  next(bytes: Uint8Array, start: number): number {
    const newline = bytes.indexOf(LF, start);
    const end = newline < 0 ? bytes.length : newline;
    this.#bytes = bytes;
    this.#end = end;
    this.fault = undefined;
    this.#hasHighBytes = false;
    this.#starts.fill(-1);
    let at = this.#space(start);
    this.isBlank = at === end;
    if (!this.isBlank) {
      at = bytes[at] === OPEN_BRACE ? this.#object(at, this.#all, 0) : this.#value(at);
      if (at >= 0) {
        at = this.#space(at);
        if (at < end) at = this.#fail(at);
      }
      if (at < 0) {
        this.fault = { offset: this.#faultAt, what: "is not JSON" };
      } else if (this.#hasHighBytes && !isUtf8(bytes.subarray(start, end))) {
        this.fault = { offset: firstInvalidUtf8(bytes, start, end), what: "is not UTF-8" };
      }
    }
    return newline < 0 ? end : end + 1;
  }

  key(field: number): Uint8Array {
    const start = this.#starts[field]!;
    return start < 0 ? MISSING : this.#key(start, this.#ends[field]!);
  }

  #key(start: number, end: number): Uint8Array {
    const bytes = this.#bytes;
    switch (bytes[start]) {
      case QUOTE:
        // Escapes are rare, so the string is read again to see whether any of them matters.
        this.#isEscaped = false;
        this.#string(start);
        if (!this.#isEscaped) return bytes.subarray(start, end);
        break;
      case OPEN_BRACE:
        break;
      case OPEN_BRACKET:
        return this.#listKey(start, 1);
      case 0x74: // true, false, null
      case 0x66:
      case 0x6e:
        return bytes.subarray(start, end);
      default:
        if (isCanonicalNumber(bytes, start, end)) return bytes.subarray(start, end);
        if (isLongInteger(bytes, start, end)) return bigintKey(bytes, start, end);
        return encodeGroupKey(parseKeyNumber(latin1Slice.call(bytes, start, end)));
    }
    return encodeGroupKey(JSON.parse(decoder.decode(bytes.subarray(start, end))));
  }

  /** Encodes each item by itself, because `JSON.parse` would round integers. */
  #listKey(start: number, depth: number): Uint8Array {
    if (depth > DEEPEST_LIST) throw new PartdError("ERR_PARTD_KEY", TOO_DEEP);
    const items: Uint8Array[] = [];
    let p = this.#space(start + 1);
    while (this.#bytes[p] !== CLOSE_BRACKET) {
      if (this.#bytes[p] === OPEN_BRACKET) {
        items.push(this.#listKey(p, depth + 1));
        p = this.#listEnd;
      } else {
        const end = this.#value(p);
        items.push(this.#key(p, end));
        p = end;
      }
      p = this.#space(p);
      if (this.#bytes[p] === COMMA) p = this.#space(p + 1);
    }
    this.#listEnd = p + 1;
    return encodeList(items);
  }

  kind(field: number): ValueKind {
    const start = this.#starts[field]!;
    if (start < 0) return VALUE_KIND.missing;
    switch (this.#bytes[start]) {
      case QUOTE:
        return VALUE_KIND.text;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        return VALUE_KIND.other;
      case 0x74:
      case 0x66:
        return VALUE_KIND.boolean;
      case 0x6e:
        return VALUE_KIND.null;
      default:
        return VALUE_KIND.number;
    }
  }

  number(field: number): number {
    return Number(latin1Slice.call(this.#bytes, this.#starts[field]!, this.#ends[field]!));
  }

  offsetOf(field: number): number {
    return this.#starts[field]!;
  }

  /** Reads the object at `at`. The fields in the bits of `wanted` have names at `depth`. */
  #object(at: number, wanted: number, depth: number): number {
    const bytes = this.#bytes;
    let p = this.#space(at + 1);
    if (bytes[p] === CLOSE_BRACE && p < this.#end) return p + 1;
    for (;;) {
      if (bytes[p] !== QUOTE || p >= this.#end) return this.#fail(p);
      this.#isEscaped = false;
      const nameStart = p;
      p = this.#string(p);
      if (p < 0) return p;
      const matched = this.#match(nameStart, p, wanted, depth);
      p = this.#space(p);
      if (bytes[p] !== COLON) return this.#fail(p);
      p = this.#space(p + 1);
      if (matched === 0) {
        p = this.#value(p);
      } else {
        p = this.#field(p, matched, depth);
      }
      if (p < 0) return p;
      p = this.#space(p);
      if (bytes[p] === CLOSE_BRACE && p < this.#end) return p + 1;
      if (bytes[p] !== COMMA || p >= this.#end) return this.#fail(p);
      p = this.#space(p + 1);
    }
  }

  /** Reads the value at `at`, to which the paths of the fields in `matched` lead. */
  #field(at: number, matched: number, depth: number): number {
    let deeper = 0;
    for (let field = 0; field < this.#paths.length; field++) {
      if ((matched & (1 << field)) === 0) continue;
      this.#starts[field] = -1; // Of duplicate names the last counts.
      if (this.#paths[field]!.length > depth + 1) deeper |= 1 << field;
    }
    const isObject = this.#bytes[at] === OPEN_BRACE && at < this.#end;
    const end = deeper !== 0 && isObject ? this.#object(at, deeper, depth + 1) : this.#value(at);
    for (let field = 0; field < this.#paths.length; field++) {
      if ((matched & ~deeper & (1 << field)) === 0) continue;
      this.#starts[field] = at;
      this.#ends[field] = end;
    }
    return end;
  }

  /** The fields in `wanted` that have this name at `depth`. */
  #match(start: number, end: number, wanted: number, depth: number): number {
    if (wanted === 0) return 0;
    const bytes = this.#bytes;
    let matched = 0;
    let name = bytes;
    let from = start;
    let length = end - start;
    if (this.#isEscaped) {
      name = encodeGroupKey(JSON.parse(decoder.decode(bytes.subarray(start, end))));
      from = 0;
      length = name.length;
    }
    for (let field = 0; field < this.#paths.length; field++) {
      if ((wanted & (1 << field)) === 0) continue;
      const sought = this.#paths[field]![depth]!;
      if (sought.length !== length) continue;
      let i = 0;
      while (i < length && sought[i] === name[from + i]) i++;
      if (i === length) matched |= 1 << field;
    }
    return matched;
  }

  /**
   * Reads any value. Brackets are kept in a list instead of by recursion, so that depth is
   * unlimited.
   */
  #value(at: number): number {
    const bytes = this.#bytes;
    const open = this.#open;
    open.length = 0;
    let p = at;
    for (;;) {
      // A value begins at p.
      if (p >= this.#end) return this.#fail(p);
      const first = bytes[p]!;
      if (first === OPEN_BRACE || first === OPEN_BRACKET) {
        open.push(first);
        p = this.#space(p + 1);
        if (p < this.#end && bytes[p] === first + 2) {
          p++;
          open.pop();
        } else {
          if (first === OPEN_BRACE) p = this.#name(p);
          if (p < 0) return p;
          continue;
        }
      } else {
        p = this.#scalar(p);
        if (p < 0) return p;
      }
      // A value has ended at p.
      for (;;) {
        const bracket = open[open.length - 1];
        if (bracket === undefined) return p;
        p = this.#space(p);
        if (p >= this.#end) return this.#fail(p);
        if (bytes[p] === bracket + 2) {
          p++;
          open.pop();
          continue;
        }
        if (bytes[p] !== COMMA) return this.#fail(p);
        p = this.#space(p + 1);
        if (bracket === OPEN_BRACE) p = this.#name(p);
        if (p < 0) return p;
        break;
      }
    }
  }

  /** Reads a name and its colon. Returns the position of the value. */
  #name(at: number): number {
    if (this.#bytes[at] !== QUOTE || at >= this.#end) return this.#fail(at);
    let p = this.#string(at);
    if (p < 0) return p;
    p = this.#space(p);
    if (this.#bytes[p] !== COLON) return this.#fail(p);
    return this.#space(p + 1);
  }

  #scalar(at: number): number {
    switch (this.#bytes[at]) {
      case QUOTE:
        return this.#string(at);
      case 0x74:
        return this.#word(at, TRUE);
      case 0x66:
        return this.#word(at, FALSE);
      case 0x6e:
        return this.#word(at, NULL);
      default:
        return this.#number(at);
    }
  }

  #string(at: number): number {
    const bytes = this.#bytes;
    let high = 0;
    let p = at + 1;
    for (;;) {
      const byte = bytes[p]!;
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        p = this.#escape(p);
        if (p < 0) return p;
        continue;
      }
      // A newline ends the line, so no string runs past it.
      if (byte < 0x20 || p >= this.#end) return this.#fail(Math.min(p, this.#end));
      high |= byte;
      p++;
    }
    if (high >= 0x80) this.#hasHighBytes = true;
    return p + 1;
  }

  #escape(at: number): number {
    const byte = this.#bytes[at + 1]!;
    if (byte === 0x75) {
      for (let i = at + 2; i < at + 6; i++) {
        const digit = this.#bytes[i]! | 0x20;
        const isHex = (digit >= 0x30 && digit <= 0x39) || (digit >= 0x61 && digit <= 0x66);
        if (!isHex || this.#bytes[i]! < 0x30 || i >= this.#end) return this.#fail(i);
      }
      this.#isEscaped = true;
      return at + 6;
    }
    if (byte === SLASH) this.#isEscaped = true;
    else if (!SHORT_ESCAPES.has(byte)) return this.#fail(at + 1);
    return at + 2;
  }

  #number(at: number): number {
    const bytes = this.#bytes;
    let p = at;
    if (bytes[p] === MINUS) p++;
    if (bytes[p] === ZERO) p++;
    else if (!isDigit(bytes[p])) return this.#fail(p);
    else p = this.#digits(p);
    if (bytes[p] === POINT) {
      if (!isDigit(bytes[p + 1])) return this.#fail(p + 1);
      p = this.#digits(p + 1);
    }
    if (bytes[p] === 0x65 || bytes[p] === 0x45) {
      p++;
      if (bytes[p] === PLUS || bytes[p] === MINUS) p++;
      if (!isDigit(bytes[p])) return this.#fail(p);
      p = this.#digits(p);
    }
    return p;
  }

  #digits(at: number): number {
    let p = at;
    while (isDigit(this.#bytes[p])) p++;
    return p;
  }

  #word(at: number, word: readonly number[]): number {
    for (let i = 1; i < word.length; i++) {
      if (this.#bytes[at + i] !== word[i]) return this.#fail(at + i);
    }
    return at + word.length;
  }

  #space(at: number): number {
    let p = at;
    for (;;) {
      const byte = this.#bytes[p];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return Math.min(p, this.#end);
      p++;
    }
  }

  #fail(at: number): number {
    this.#faultAt = Math.min(at, this.#end);
    return -1;
  }
}

/** The key of an integer, from its digits. */
function bigintKey(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const key = new Uint8Array(1 + end - start);
  key[0] = KEY_TAG.bigint;
  for (let i = start; i < end; i++) key[1 + i - start] = bytes[i]!;
  return key;
}

const TOO_DEEP = `has lists in lists more than ${DEEPEST_LIST} deep where its key should be`;
const MISSING = encodeGroupKey(undefined);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

const LF = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const COLON = 0x3a;
const COMMA = 0x2c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const SHORT_ESCAPES = new Set([...'"\\bfnrt'].map((c) => c.charCodeAt(0)));
const codes = (word: string) => [...word].map((c) => c.charCodeAt(0));
const TRUE = codes("true");
const FALSE = codes("false");
const NULL = codes("null");

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
