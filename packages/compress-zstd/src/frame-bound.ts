import { PartdError } from "@partd/core";

/**
 * The most bytes that zstd frames can decode to, from their headers alone (RFC 8878, section 3.1):
 * at most 128 KiB for a compressed block, and the stated size of raw and repeated ones. `exact`
 * says that it is the true size.
 *
 * @throws Error if the bytes are not zstd frames, are cut short, or cannot decode to the size they
 *   state.
 */
export function decodedBound(bytes: Uint8Array): { bound: number; exact: boolean } {
  let bound = 0;
  let exact = true;
  for (const frame of framesOf(bytes)) {
    bound += frame.bound;
    exact &&= frame.exact;
  }
  return { bound, exact };
}

/** A zstd frame, as far as its headers tell. */
export interface ZstdFrame {
  readonly start: number;
  readonly end: number;
  readonly bound: number;
  readonly exact: boolean;
  /** Bytes of the result that the decoder refers back to. */
  readonly window: number;
  /** Where the byte stands that says so, or 0 if the window is the result. */
  readonly windowAt: number;
  /** Whether the last four bytes are those of the result's XXH64. */
  readonly hasChecksum: boolean;
}

/** The frames one by one, without skippable frames. Throws as {@link decodedBound} does. */
export function* framesOf(bytes: Uint8Array): Generator<ZstdFrame> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  do {
    if (at + 8 > bytes.byteLength) throw cutShort();
    const magic = view.getUint32(at, true);
    const frame = magic === FRAME ? measure(view, at) : undefined;
    if (frame !== undefined) at = frame.end;
    else if (magic >>> 4 === SKIPPABLE) at += 8 + view.getUint32(at + 4, true);
    else throw new Error("they are not zstd's format.");
    if (at > bytes.byteLength) throw cutShort();
    if (frame !== undefined) yield frame;
  } while (at < bytes.byteLength);
}

const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a5;
const BLOCK = 128 * 1024;

function measure(view: DataView, start: number): ZstdFrame {
  const header = start + 4;
  const descriptor = view.getUint8(header);
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  if (dictionaryBytes > 0) checkDictionary(view, header + (singleSegment ? 1 : 2), dictionaryBytes);
  const sizeAt = header + 1 + (singleSegment ? 0 : 1) + dictionaryBytes;
  if (sizeAt + sizeBytes + 3 > view.byteLength) throw cutShort();
  const stated = statedSize(view, sizeAt, sizeBytes);
  let at = sizeAt + sizeBytes;
  let bound = 0;
  for (let last = false; !last; ) {
    if (at + 3 > view.byteLength) throw cutShort();
    const block = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const size = block >> 3;
    const kind = (block >> 1) & 3;
    last = (block & 1) !== 0;
    bound += kind === COMPRESSED ? BLOCK : size;
    at += 3 + (kind === REPEATED ? 1 : size);
  }
  if (stated !== undefined && stated > bound) {
    throw new Error(`they state to be ${stated} bytes, and can be at most ${bound}.`);
  }
  // libzstd compares the stated size only at the end, so a false one does not count: the blocks do.
  const exact = stated !== undefined && bound - stated < BLOCK;
  const hasChecksum = (descriptor & 4) !== 0;
  const window = singleSegment ? (stated as number) : windowSize(view.getUint8(header + 1));
  const windowAt = singleSegment ? 0 : header + 1;
  const end = at + (hasChecksum ? 4 : 0);
  return { start, end, bound: exact ? stated : bound, exact, window, windowAt, hasChecksum };
}

function windowSize(descriptor: number): number {
  return 2 ** (10 + (descriptor >> 3)) * (1 + (descriptor & 7) / 8);
}

/**
 * The same frames with windows no larger than what they decode to. `zstd --long=31` states 2 GiB for
 * any data, which decoders refuse or allocate.
 *
 * @param most bytes beyond which the result is refused anyway.
 */
export function fitWindows(bytes: Uint8Array, most: number): Uint8Array {
  let fitted = bytes;
  for (const { bound, window, windowAt } of framesOf(bytes)) {
    const needed = Math.max(Math.min(bound, most), LEAST_WINDOW);
    if (windowAt === 0 || window <= needed) continue;
    if (fitted === bytes) fitted = new Uint8Array(bytes);
    let descriptor = 0;
    while (windowSize(descriptor) < needed) descriptor++;
    fitted[windowAt] = descriptor;
  }
  return fitted;
}

/** Every decoder has to support this much. */
const LEAST_WINDOW = 2 ** 23;

/** Refuses frames that need a dictionary, which is not in them. An identifier of 0 means none. */
function checkDictionary(view: DataView, at: number, length: number): void {
  if (at + length > view.byteLength) throw cutShort();
  for (let i = at; i < at + length; i++) {
    if (view.getUint8(i) === 0) continue;
    throw new PartdError(
      "ERR_PARTD_CODEC",
      "they were compressed with a dictionary, which is not known here; compress them without one.",
    );
  }
}

const REPEATED = 1;
const COMPRESSED = 2;

function statedSize(view: DataView, at: number, length: number): number | undefined {
  switch (length) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    case 8:
      return Number(view.getBigUint64(at, true));
    default:
      return undefined;
  }
}

function cutShort(): Error {
  return new Error("they are cut short.");
}
