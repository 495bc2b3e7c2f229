/**
 * Estimates the bytes that a value takes on the heap, besides the slot that refers to it; rather too
 * high than too low (V8 keeps Latin-1 text in one byte a character). 0 for numbers. Of many objects the
 * first thousand stand for all; private fields cannot be seen.
 */
export function heapSize(value: unknown): number {
  if (typeof value === "string") return HEADER_BYTES + 2 * value.length;
  if (typeof value === "bigint") return bigintSize(value);
  if (typeof value !== "object" || value === null) return 0;
  return new HeapWalk().sizeOf(value);
}

function bigintSize(value: bigint): number {
  if (BigInt.asIntN(64, value) === value) return HEADER_BYTES;
  return HEADER_BYTES + value.toString(16).length / 2;
}

class HeapWalk {
  /** A stack of our own, because a linked list may be deeper than the call stack. */
  #waiting: object[] | undefined;
  /** Objects that were counted; not kept for small values. */
  #met: Set<object> | undefined;

  sizeOf(root: object): number {
    let size = 0;
    let objects = 0;
    for (let value: object | undefined = root; value; value = this.#waiting?.pop()) {
      if (objects === MOST) return size + (size / objects) * (this.#waiting!.length + 1);
      if (++objects > SMALL) {
        this.#met ??= new Set();
        if (this.#met.has(value)) continue;
        this.#met.add(value);
      }
      size += OBJECT_BYTES + this.#content(value);
    }
    return size;
  }

  #content(value: object): number {
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
    let size = 0;
    if (Array.isArray(value)) {
      for (const item of value) size += this.#slot(item);
    } else if (value instanceof Set) {
      for (const item of value) size += ENTRY_BYTES + this.#slot(item);
    } else if (value instanceof Map) {
      for (const [key, item] of value) size += ENTRY_BYTES + this.#slot(key) + this.#slot(item);
    } else {
      for (const name in value) size += this.#slot((value as Record<string, unknown>)[name]);
    }
    return size;
  }

  /** Counts a slot with its content; an object is counted later. */
  #slot(value: unknown): number {
    if (typeof value === "number") return SLOT_BYTES;
    if (typeof value !== "object" || value === null) return SLOT_BYTES + heapSize(value);
    this.#waiting ??= [];
    this.#waiting.push(value);
    return SLOT_BYTES;
  }
}

/** A pointer, and the double that most numbers are. */
const SLOT_BYTES = 16;
/** Bytes of an entry in a Map or Set, whose table is half empty after it has grown. */
const ENTRY_BYTES = 24;
const HEADER_BYTES = 24;
const OBJECT_BYTES = 64;
/** Of a value with fewer objects, an object is counted each time that it is met. */
const SMALL = 64;
/** The most objects to count: records may refer to all of a program's data. */
const MOST = 1000;
