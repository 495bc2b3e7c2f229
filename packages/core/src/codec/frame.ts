import { PartdError } from "../errors.js";
import { describeKey, type Key } from "../keys/keys.js";
import { allocateBytes, concatBytes } from "../memory/bytes.js";
import { bufferOf, byteLengthOf, offsetOf } from "../memory/typed-array.js";
import { knownFormat } from "./known-formats.js";

/** Length of the unsigned 64-bit little-endian number that stands before each frame's bytes. */
export const FRAME_HEADER = 8;

/**
 * Makes one frame of the bytes, ready to be appended: the format of Python's `partd.utils.frame`.
 * Bytes with headroom are framed in place and become part of the frame; others are copied.
 */
export function frame(bytes: Uint8Array): Uint8Array {
  const byteLength = byteLengthOf.call(bytes); // A codec may pass on what it was given.
  const byteOffset = offsetOf.call(bytes);
  const isInPlace = byteOffset >= FRAME_HEADER && headroom.delete(bytes);
  const framed = isInPlace
    ? new Uint8Array(bufferOf.call(bytes), byteOffset - FRAME_HEADER, FRAME_HEADER + byteLength)
    : allocateBytes(FRAME_HEADER + byteLength);
  writeLength(framed, byteLength);
  if (!isInPlace) framed.set(bytes, FRAME_HEADER);
  return framed;
}

/**
 * Allocates memory for bytes that a codec encodes, with headroom: room in front for the header of a
 * frame, which saves {@link frame} a copy. As with `allocateBytes`, the caller must set every byte.
 */
export function allocateEncoded(byteLength: number): Uint8Array {
  return byteLength < LEAST_WITH_HEADROOM
    ? new Uint8Array(byteLength)
    : behindHeadroom(allocateBytes(FRAME_HEADER + byteLength));
}

/** Copies encoded bytes into memory of {@link allocateEncoded}, which is framed without another copy. */
export function copyEncoded(bytes: Uint8Array): Uint8Array {
  const copy = allocateEncoded(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

/**
 * Returns a view of all but the first 8 bytes, which the codec has left free for the frame's
 * header. The codec gives the array away: `frame` writes the header into it, and a store may keep
 * it.
 */
export function behindHeadroom(bytes: Uint8Array): Uint8Array {
  const encoded = bytes.subarray(FRAME_HEADER);
  headroom.add(encoded);
  return encoded;
}

/** Encoded bytes with headroom that is not used yet. */
const headroom = new WeakSet<Uint8Array>();
/** For fewer bytes the WeakSet costs more than the copy. */
const LEAST_WITH_HEADROOM = 1024;

/**
 * The encoded bytes of a frame, the key they belong to, and where its header begins in the value.
 */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly key: Key;
  readonly offset: number;
}

/**
 * Splits a whole value into frames, which are views of it.
 *
 * @throws `ERR_PARTD_CORRUPT` if the last frame is cut short.
 */
export function splitFrames(value: Uint8Array, key: Key): Frame[] {
  return [...eachFrame(value, key)];
}

/** The same one by one, for values of very many frames. */
export function* eachFrame(value: Uint8Array, key: Key): Generator<Frame, void, undefined> {
  for (let offset = 0; offset < value.byteLength; ) {
    if (value.byteLength - offset < FRAME_HEADER) throw cutShort(key, offset);
    const start = offset + FRAME_HEADER;
    const length = readLength(value, offset);
    const end = start + length;
    if (end > value.byteLength) {
      throw length > LONGEST ? noFrame(key, offset, value) : cutShort(key, offset);
    }
    yield { bytes: value.subarray(start, end), key, offset };
    offset = end;
  }
}

/**
 * Yields the frames of a value that arrives in pieces of any size; holds one frame at a time.
 *
 * @throws `ERR_PARTD_CORRUPT` if the last frame is cut short.
 */
export async function* streamFrames(
  pieces: AsyncIterable<Uint8Array>,
  key: Key,
): AsyncGenerator<Frame, void, undefined> {
  const held = new PieceQueue();
  let offset = 0;
  let length: number | undefined;
  for await (const piece of pieces) {
    held.push(piece);
    for (;;) {
      if (length === undefined) {
        if (held.byteLength < FRAME_HEADER) break;
        const header = held.take(FRAME_HEADER);
        length = readLength(header, 0);
        if (length > LONGEST) throw noFrame(key, offset, header);
      }
      if (held.byteLength < length) break;
      yield { bytes: held.take(length), key, offset };
      offset += FRAME_HEADER + length;
      length = undefined;
    }
  }
  if (length !== undefined || held.byteLength > 0) throw cutShort(key, offset);
}

/**
 * A longer length means that these are not frames but, say, plain text. Refusing it early saves
 * gathering the whole value in search of the frame's end.
 */
const LONGEST = 2 ** 40;

/** Bytes that arrive in pieces and are taken from the front in other lengths. */
class PieceQueue {
  #pieces: Uint8Array[] = [];
  byteLength = 0;

  push(piece: Uint8Array): void {
    if (piece.byteLength === 0) return;
    this.#pieces.push(piece);
    this.byteLength += piece.byteLength;
  }

  /** Returns a view if the bytes lie within one piece, else a copy. */
  take(byteLength: number): Uint8Array {
    const taken: Uint8Array[] = [];
    let missing = byteLength;
    let used = 0;
    while (missing > 0) {
      const piece = this.#pieces[used] as Uint8Array;
      if (piece.byteLength <= missing) {
        taken.push(piece);
        used++;
        missing -= piece.byteLength;
      } else {
        taken.push(piece.subarray(0, missing));
        this.#pieces[used] = piece.subarray(missing);
        missing = 0;
      }
    }
    if (used > 0) this.#pieces.splice(0, used);
    this.byteLength -= byteLength;
    return taken.length === 1 ? (taken[0] as Uint8Array) : concatBytes(taken);
  }
}

function writeLength(bytes: Uint8Array, length: number): void {
  for (let i = 0, rest = length; i < FRAME_HEADER; i++, rest = Math.floor(rest / 256)) {
    bytes[i] = rest; // All eight bytes: the memory may not have been cleared.
  }
}

/**
 * Up to 2^64; inexact above 2^53, which is past the end of any value anyway. It uses no `DataView`,
 * which would cost more than the view of a small frame.
 */
function readLength(bytes: Uint8Array, offset: number): number {
  return readWord(bytes, offset) + readWord(bytes, offset + 4) * 2 ** 32;
}

function readWord(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  const high = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
  return low + high * 2 ** 16;
}

/** @param value the whole value, or its beginning. */
function noFrame(key: Key, offset: number, value: Uint8Array): PartdError {
  const format = offset === 0 ? knownFormat(value) : undefined;
  if (format === undefined) return cutShort(key, offset);
  return new PartdError(
    "ERR_PARTD_CODEC",
    `The value of key ${describeKey(key)} holds no appends of a codec: it begins as ${format}; read it without a codec.`,
    { key, offset },
  );
}

function cutShort(key: Key, offset: number): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The value of key ${describeKey(key)} ends within the frame at byte ${offset}; it was damaged, or was not written through this codec.`,
    { key, offset },
  );
}
