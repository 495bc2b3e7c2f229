import { type Codec, Encode, PartdError, type Store } from "@partd/core";
import {
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkDecodedSize,
  checkIntegerOption,
  compressLater,
  compressorCodec,
  needWebAssembly,
  takeOptions,
} from "@partd/core/author";
import NumcodecsLZ4 from "numcodecs/lz4";

export interface LZ4Options extends CompressorOptions {
  /** From 1 (smallest) to 65537 (fastest). Default 1. */
  readonly acceleration?: number | undefined;
}

/**
 * A store of bytes over another, compressed with LZ4: cheap both ways without a native module. Each
 * frame is its decoded size and one LZ4 block, as Python's `lz4.block` and `numcodecs` write it.
 *
 * @example new LZ4(new FileStore("data"))
 */
export class LZ4 extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: LZ4Options = {}) {
    const taken = takeOptions(
      "new LZ4",
      options,
      { ...COMPRESSOR_OPTIONS, acceleration: true },
      new.target !== LZ4,
    );
    super(store, lz4Codec(taken), taken);
  }
}

/** The codec of {@link LZ4}. */
export function lz4Codec(options: LZ4Options = {}): Codec<Uint8Array> {
  const acceleration = checkIntegerOption("acceleration", options.acceleration ?? 1, 1, 65537);
  return compressorCodec(
    {
      name: "lz4",
      compress(bytes) {
        if (bytes.byteLength > MAX_BYTES) {
          throw new PartdError("ERR_PARTD_VALUE", `LZ4 takes at most ${MAX_BYTES} bytes at once.`);
        }
        needWebAssembly();
        return compressLater(bytes, (bytes) => new NumcodecsLZ4(acceleration).encode(bytes));
      },
      decompress(bytes, maxDecodedBytes) {
        const size = readDecodedSize(bytes);
        checkDecodedSize(size, Math.min(maxDecodedBytes, MAX_BYTES));
        if (size > 0) return decode(bytes, size);
        checkBlock(bytes, size); // The engine accepts anything as an empty result.
        return new Uint8Array();
      },
    },
    options,
  );
}

/**
 * Decodes a block. Each block that fails permanently costs the engine the memory of its result and 48
 * bytes of a stack of 64 KiB, of which `compress` needs 17 KiB: without those it would write wrong
 * bytes. So once failures have cost that much, blocks are checked first; always checking would take
 * half as long again.
 */
async function decode(bytes: Uint8Array, size: number): Promise<Uint8Array> {
  if (failures >= MOST_FAILURES || lostBytes + size > MAX_LOST_BYTES) checkBlock(bytes, size);
  needWebAssembly();
  let decoded: Uint8Array;
  try {
    decoded = await new NumcodecsLZ4().decode(bytes);
  } catch (cause) {
    failures++;
    lostBytes += size;
    throw new Error("they are not an LZ4 block, are damaged or cut short.", { cause });
  }
  if (decoded.byteLength !== size) throw new Error("they decode to another size than they state.");
  return decoded;
}

let failures = 0;
const MOST_FAILURES = 256;
let lostBytes = 0;
const MAX_LOST_BYTES = 2 ** 29;

/** The module has 2 GiB for a value, a copy of it and the result. */
const MAX_BYTES = 2 ** 29;

/**
 * Reads the number of decoded bytes, four little-endian bytes before the block.
 *
 * @throws Error if so few bytes cannot decode to so many.
 */
export function readDecodedSize(bytes: Uint8Array): number {
  if (bytes.byteLength <= HEADER) throw malformed();
  const size = new DataView(bytes.buffer, bytes.byteOffset, HEADER).getUint32(0, true);
  if (size > (bytes.byteLength - HEADER) * MAX_RATIO) throw malformed();
  return size;
}

/**
 * Walks through a block's lengths and distances without decoding it
 * (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
 *
 * @throws Error unless it decodes to `size` bytes.
 */
export function checkBlock(bytes: Uint8Array, size: number): void {
  const end = bytes.byteLength;
  let at = HEADER;
  let decoded = 0;
  for (;;) {
    if (at >= end) throw malformed();
    const token = bytes[at++] as number;
    let literals = token >> 4;
    if (literals === LONG) {
      let more: number;
      do {
        if (at >= end) throw malformed();
        more = bytes[at++] as number;
        literals += more;
      } while (more === 255);
    }
    at += literals;
    decoded += literals;
    if (at === end) break; // The last sequence is literals alone.
    if (at + 2 + 1 + LAST_LITERALS > end || decoded + LAST_MATCH > size) throw malformed();
    const distance = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    at += 2;
    if (distance === 0 || distance > decoded) throw malformed();
    let length = (token & 15) + 4;
    if (length === LONG + 4) {
      let more: number;
      do {
        if (at >= end) throw malformed();
        more = bytes[at++] as number;
        length += more;
      } while (more === 255);
    }
    decoded += length;
    if (decoded > size - LAST_LITERALS) throw malformed();
  }
  if (decoded !== size) throw malformed();
}

const HEADER = 4;
/** A byte of a long length adds at most 255. */
const MAX_RATIO = 255;
/** A block ends with at least this many literal bytes. */
const LAST_LITERALS = 5;
/** The last match begins at least this many bytes before the end. */
const LAST_MATCH = 12;
/** The value of a 4-bit length that continues in further bytes. */
const LONG = 15;

function malformed(): Error {
  return new Error("they are not an LZ4 block behind its size, are damaged or cut short.");
}
