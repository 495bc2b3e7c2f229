import { PartdError } from "../errors.js";
import { describeKey, type Key } from "../keys/keys.js";
import { allocateBytes, concatBytes } from "../memory/bytes.js";

/** Length of the unsigned 64-bit little-endian number that stands before each frame's bytes. */
export const FRAME_HEADER = 8;

/**
 * The bytes as one frame, ready to be appended: the format of Python's `partd.utils.frame`. Bytes that
 * have headroom are framed where they lie and become part of the frame; others are copied.
 */
export function frame(bytes: Uint8Array): Uint8Array {
  const { byteLength } = bytes;
  const isInPlace = bytes.byteOffset >= FRAME_HEADER && headroom.delete(bytes);
  const framed = isInPlace
    ? new Uint8Array(bytes.buffer, bytes.byteOffset - FRAME_HEADER, FRAME_HEADER + byteLength)
    : allocateBytes(FRAME_HEADER + byteLength);
  writeLength(framed, byteLength);
  if (!isInPlace) framed.set(bytes, FRAME_HEADER);
  return framed;
}

/**
 * Memory for the bytes that a codec encodes, with headroom: room in front for the header of a frame,
 * which saves {@link frame} a copy. As in `allocateBytes`, every byte is yet to be set.
 */
export function allocateEncoded(byteLength: number): Uint8Array {
  return byteLength < LEAST_WITH_HEADROOM
    ? new Uint8Array(byteLength)
    : behindHeadroom(allocateBytes(FRAME_HEADER + byteLength));
}

/**
 * A view of all but the first 8 bytes, which the codec leaves free for the frame's header. The codec
 * gives the array away: `frame` writes the header into it, and a store may keep it.
 */
export function behindHeadroom(bytes: Uint8Array): Uint8Array {
  const encoded = bytes.subarray(FRAME_HEADER);
  headroom.add(encoded);
  return encoded;
}

/** Encoded bytes with headroom that is not used yet. */
const headroom = new WeakSet<Uint8Array>();
/** To remember fewer bytes takes longer than to copy them. */
const LEAST_WITH_HEADROOM = 1024;

/** A frame's bytes, whose they are, and where its header begins in the key's value. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly key: Key;
  readonly offset: number;
}

/**
 * The frames of a whole value, as views of it.
 *
 * @throws `ERR_PARTD_CORRUPT` where the last frame is cut short.
 */
export function splitFrames(value: Uint8Array, key: Key): Frame[] {
  return [...eachFrame(value, key)];
}

/** The same one by one, for a value of more frames than are split at one go. */
export function* eachFrame(value: Uint8Array, key: Key): Generator<Frame, void, undefined> {
  for (let offset = 0; offset < value.byteLength; ) {
    if (value.byteLength - offset < FRAME_HEADER) throw cutShort(key, offset);
    const start = offset + FRAME_HEADER;
    const end = start + readLength(value, offset);
    if (end > value.byteLength) throw cutShort(key, offset);
    yield { bytes: value.subarray(start, end), key, offset };
    offset = end;
  }
}

/**
 * The frames of a value that arrives in pieces of any size; holds one frame at a time.
 *
 * @throws `ERR_PARTD_CORRUPT` where the last frame is cut short.
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
        length = readLength(held.take(FRAME_HEADER), 0);
        if (length > LONGEST) throw cutShort(key, offset);
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
 * No frame was ever longer. A longer length means that these are not frames, but plain text, say: the
 * error comes before the whole value is gathered in search of the end.
 */
const LONGEST = 2 ** 40;

/** Bytes that came in pieces, taken from the front in other lengths. */
class PieceQueue {
  #pieces: Uint8Array[] = [];
  byteLength = 0;

  push(piece: Uint8Array): void {
    if (piece.byteLength === 0) return;
    this.#pieces.push(piece);
    this.byteLength += piece.byteLength;
  }

  /** A view where the bytes lie within one piece, else a copy. */
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
    bytes[i] = rest; // All eight: the memory may not have been cleared.
  }
}

/**
 * Up to 2^64; above 2^53 inexact, which is past the end of any value all the same. Without a
 * `DataView`, whose making costs more than the frame's own view where frames are small.
 */
function readLength(bytes: Uint8Array, offset: number): number {
  return readWord(bytes, offset) + readWord(bytes, offset + 4) * 2 ** 32;
}

function readWord(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  const high = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
  return low + high * 2 ** 16;
}

function cutShort(key: Key, offset: number): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The value of key ${describeKey(key)} ends within the frame at byte ${offset}; it was damaged, or was not written through this codec.`,
    { key, offset },
  );
}
