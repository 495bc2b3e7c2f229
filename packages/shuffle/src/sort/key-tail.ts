import type { KeyedBatch } from "../source/keyed-batch.js";

/**
 * Whether keys are told apart by their first 8 bytes, since they are of one length and alike behind these: so are
 * whole numbers below 2^45, dates and booleans. Of equal prefixes nothing is left to compare then, which
 * for ties spares a look at each frame.
 */
export class KeyTail {
  isSame = true;
  #first: Uint8Array | undefined;

  add({ count, keys, keyStarts, keyEnds }: KeyedBatch): void {
    if (!this.isSame || count === 0) return;
    const first = this.#first ?? new Uint8Array(keys.subarray(keyStarts[0], keyEnds[0]));
    this.#first = first;
    const { length } = first;
    if (length > LONGEST) {
      this.isSame = false;
      return;
    }
    for (let i = 0; i < count; i++) {
      const start = keyStarts[i]!;
      let same = keyEnds[i]! - start === length;
      for (let at = PREFIX; at < length; at++) same &&= keys[start + at] === first[at];
      if (same) continue;
      this.isSame = false;
      return;
    }
  }
}

/** Bytes that are compared as words. */
const PREFIX = 8;
/** A longer key is one of text, whose tail is hardly ever the same. */
const LONGEST = 16;
