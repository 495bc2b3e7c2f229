import { type Key, PartdError } from "@partd/core";
import { describeKey, knownFormat } from "@partd/core/author";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws `ERR_PARTD_CODEC` for half a surrogate pair, which `TextEncoder` would replace. */
export function encodeUtf8(text: string, key: Key): Uint8Array {
  if (typeof text === "string" && text.isWellFormed()) return encoder.encode(text);
  const reason =
    typeof text === "string"
      ? "it holds half a surrogate pair, which has no UTF-8 form; append whole characters, or use toWellFormed()"
      : `it must be a string, not ${text === null ? "null" : typeof text}`;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `The text for key ${describeKey(key)} cannot be encoded: ${reason}.`,
    { key },
  );
}

/**
 * @param offset where `bytes` begin in the key's value.
 * @throws `ERR_PARTD_CORRUPT` if `bytes` are not UTF-8, `ERR_PARTD_CODEC` if they begin as another known
 *   format, `ERR_PARTD_VALUE` if they are longer than a string can be.
 */
export function decodeUtf8(bytes: Uint8Array, key: Key, offset = 0): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    const bad = firstInvalid(bytes);
    if (bad === undefined) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `The text of key ${describeKey(key)} is longer than a string can be here (${bytes.byteLength} bytes); use stream().`,
        { key, cause },
      );
    }
    const format = offset > 0 ? undefined : (knownFormat(bytes) ?? utf16(bytes));
    if (format !== undefined) {
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `The value of key ${describeKey(key)} is no UTF-8 text: it begins as ${format}; convert it, or read it through the codec or compression that wrote it.`,
        { key, offset, cause },
      );
    }
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `The value of key ${describeKey(key)} is not UTF-8 at byte ${offset + bad}; it was damaged, or was not written as text.`,
      { key, offset: offset + bad, cause },
    );
  }
}

/** Windows writes texts in UTF-16, with a byte order mark, which UTF-8 never begins with. */
function utf16([first, second]: Uint8Array): string | undefined {
  const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return isMarked ? "UTF-16" : undefined;
}

/** The number of bytes at the end that begin a character without finishing it. */
export function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.byteLength); back++) {
    const byte = bytes[bytes.byteLength - back] as number;
    if (!isContinuation(byte)) return sequenceLength(byte) > back ? back : 0;
  }
  return 0;
}

/** Where the first sequence that is not UTF-8 begins (Unicode 15, table 3-7). */
function firstInvalid(bytes: Uint8Array): number | undefined {
  for (let i = 0; i < bytes.byteLength; ) {
    const first = bytes[i] as number;
    const length = sequenceLength(first);
    if (length === 0) return i;
    for (let k = 1; k < length; k++) {
      if (!isContinuation(bytes[i + k])) return i;
    }
    const second = bytes[i + 1] as number;
    if (first === 0xe0 && second < 0xa0) return i; // Overlong.
    if (first === 0xed && second > 0x9f) return i; // A surrogate.
    if (first === 0xf0 && second < 0x90) return i; // Overlong.
    if (first === 0xf4 && second > 0x8f) return i; // Above U+10FFFF.
    i += length;
  }
  return undefined;
}

/** The length of the sequence that `first` begins, or 0 if no sequence begins with it. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
