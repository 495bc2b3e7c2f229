import type { Keyer } from "./input.js";
import { hashKey } from "./key.js";
import type { HashedKey } from "./keyed-batch.js";
import { encodeStructured } from "./structured.js";

/** The record itself as its key. */
export class WholeRecordKeyer<R> implements Keyer<R> {
  keyOf(record: R): HashedKey {
    const encoded = encodeStructured(record);
    const bytes = typeof encoded === "string" ? Buffer.from(encoded) : encoded;
    const { low, high } = hashKey(bytes, 0, bytes.length);
    return { bytes, low, high };
  }
}
