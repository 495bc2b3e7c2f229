/**
 * Decodes UTF-8 and caches recent short texts: property names and category values repeat, and
 * comparing bytes is cheaper than making a string.
 */
export class ShortTexts {
  readonly #texts: (string | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #lengths = new Uint8Array(SLOTS);
  readonly #bytes = new Uint8Array(SLOTS * MAX_LENGTH);
  readonly #decode: (bytes: Uint8Array) => string;

  /** @param decode decodes texts that are long, or not ASCII. */
  constructor(decode: (bytes: Uint8Array) => string) {
    this.#decode = decode;
  }

  /** @throws what `decode` throws. */
  decode(bytes: Uint8Array, start: number, length: number): string {
    if (length > MAX_LENGTH) return this.#decode(bytes.subarray(start, start + length));
    if (length === 0) return "";
    const last = start + length - 1;
    // The length and four bytes tell most names apart. A collision only costs time.
    const hash =
      length * 0x9e3b +
      (bytes[start] as number) * 0x1f1f +
      (bytes[start + (length >> 1)] as number) * 0x3d4d +
      (bytes[last - (length > 1 ? 1 : 0)] as number) * 0x59f1 +
      (bytes[last] as number) * 0x2545;
    const slot = (hash ^ (hash >>> 9)) & (SLOTS - 1);
    const known = this.#texts[slot];
    if (known !== undefined && this.#matches(slot, bytes, start, length)) return known;
    const text = this.#decodeShort(bytes, start, length);
    this.#texts[slot] = text;
    const base = slot * MAX_LENGTH;
    for (let i = 0; i < length; i++) this.#bytes[base + i] = bytes[start + i] as number;
    this.#lengths[slot] = length;
    return text;
  }

  #decodeShort(bytes: Uint8Array, start: number, length: number): string {
    let text = "";
    for (let i = start; i < start + length; i++) {
      const byte = bytes[i] as number;
      if (byte >= 0x80) return this.#decode(bytes.subarray(start, start + length));
      text += String.fromCharCode(byte);
    }
    return text;
  }

  #matches(slot: number, bytes: Uint8Array, start: number, length: number): boolean {
    if (this.#lengths[slot] !== length) return false;
    const base = slot * MAX_LENGTH;
    for (let i = 0; i < length; i++) {
      if (this.#bytes[base + i] !== bytes[start + i]) return false;
    }
    return true;
  }
}

const SLOTS = 1024;
const MAX_LENGTH = 24;
