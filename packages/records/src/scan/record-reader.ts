import { isPartdError } from "@partd/core";
import { encodeList } from "../key/group-key.js";
import { type ByteBatch, VALUE_KIND } from "../records.js";
import { RecordError } from "./record-error.js";
import type { RecordMatcher } from "./record-matcher.js";

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
