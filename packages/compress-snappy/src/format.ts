import { allocateBytes, Pace } from "@partd/core/author";

/**
 * The number of decoded bytes that stands before them, as a little-endian base-128 number.
 *
 * @throws where there is none, or where so few bytes cannot decode to so many: what follows may
 *   then allocate that much.
 */
export function readDecodedSize(bytes: Uint8Array): number {
  const header = headerLength(bytes);
  let size = 0;
  for (let i = header - 1; i >= 0; i--) size = size * 128 + ((bytes[i] as number) & 0x7f);
  if (size >= 2 ** 32 || size > (bytes.byteLength - header) * MAX_RATIO) throw malformed();
  return size;
}

/** That number as {@link readDecodedSize} reads it. */
export function writeDecodedSize(size: number): Uint8Array {
  const bytes: number[] = [];
  for (; size >= 128; size = Math.floor(size / 128)) bytes.push((size % 128) | 0x80);
  return Uint8Array.of(...bytes, size);
}

/**
 * The decoded bytes, every length and distance checked. `snappyjs` is used to compress only: it
 * takes a stream that is cut short for one that ends in zeros, can be sent into an endless loop,
 * and is no faster than this.
 *
 * @param size what {@link readDecodedSize} gave
 */
export function decodeElements(bytes: Uint8Array, size: number): Uint8Array | Promise<Uint8Array> {
  const decoding: Decoding = { read: headerLength(bytes), written: 0, output: allocateBytes(size) };
  if (size > STEP) return decodeInSteps(bytes, decoding);
  decodeUntil(bytes, decoding, size);
  return whole(decoding);
}

/** What is done and what is to be filled. */
interface Decoding {
  read: number;
  written: number;
  readonly output: Uint8Array;
}

async function decodeInSteps(bytes: Uint8Array, decoding: Decoding): Promise<Uint8Array> {
  const pace = new Pace();
  while (decoding.read < bytes.byteLength) {
    decodeUntil(bytes, decoding, decoding.written + STEP);
    if (pace.isOver) await pace.rest();
  }
  return whole(decoding);
}

function whole({ written, output }: Decoding): Uint8Array {
  if (written !== output.byteLength) throw malformed();
  return output;
}

/** Goes on to the end, or to the first element that ends behind `stop` decoded bytes. */
function decodeUntil(bytes: Uint8Array, decoding: Decoding, stop: number): void {
  const { output } = decoding;
  const size = output.byteLength;
  const end = bytes.byteLength;
  let { read, written } = decoding;
  while (read < end && written <= stop) {
    const tag = bytes[read++] as number;
    const kind = tag & 3;
    if (kind === LITERAL) {
      let length = tag >>> 2;
      if (length >= 60) {
        const lengthBytes = length - 59;
        if (lengthBytes > end - read) throw malformed();
        length = littleEndian(bytes, read, lengthBytes);
        read += lengthBytes;
      }
      length++;
      if (length > end - read || length > size - written) throw malformed();
      if (length > 64) {
        output.set(bytes.subarray(read, read + length), written);
        written += length;
        read += length;
      } else {
        for (const last = read + length; read < last; ) output[written++] = bytes[read++] as number;
      }
      continue;
    }
    let length = (tag >>> 2) + 1;
    let distance: number;
    if (kind === COPY_1) {
      if (read >= end) throw malformed();
      length = ((tag >>> 2) & 7) + 4;
      distance = ((tag >>> 5) << 8) | (bytes[read++] as number);
    } else {
      const distanceBytes = kind === COPY_2 ? 2 : 4;
      if (distanceBytes > end - read) throw malformed();
      distance = littleEndian(bytes, read, distanceBytes);
      read += distanceBytes;
    }
    if (distance === 0 || distance > written || length > size - written) throw malformed();
    // Byte by byte: where the distance is less than the length, a copy repeats what it has written.
    for (const last = written + length; written < last; written++) {
      output[written] = output[written - distance] as number;
    }
  }
  decoding.read = read;
  decoding.written = written;
}

/** Bytes decoded in some milliseconds. */
const STEP = 2 ** 20;

/** Kinds of element: bytes as they stand, or copies from before, by the width of their distance. */
const LITERAL = 0;
const COPY_1 = 1;
const COPY_2 = 2;

/** No element decodes to more than 64 bytes of each 3. */
const MAX_RATIO = 64 / 3;

/** Bytes of that number. */
export function headerLength(bytes: Uint8Array): number {
  for (let i = 0; i < 5; i++) if ((bytes[i] ?? 0xff) < 0x80) return i + 1;
  throw malformed();
}

function littleEndian(bytes: Uint8Array, offset: number, length: number): number {
  let value = 0;
  for (let i = length - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] as number);
  return value;
}

function malformed(): Error {
  return new Error("they are not Snappy's raw format, are damaged or cut short.");
}
