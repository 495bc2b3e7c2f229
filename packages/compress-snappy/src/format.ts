import { allocateBytes, Pace } from "@partd/core/author";

/**
 * Reads the number of decoded bytes, a little-endian base-128 number at the start.
 *
 * @throws Error if there is none, or if so few bytes cannot decode to so many: the caller allocates
 *   that much.
 */
export function readDecodedSize(bytes: Uint8Array): number {
  const header = headerLength(bytes);
  let size = 0;
  for (let i = header - 1; i >= 0; i--) size = size * 128 + ((bytes[i] as number) & 0x7f);
  if (size >= 2 ** 32 || size > (bytes.byteLength - header) * MAX_RATIO) throw malformed();
  return size;
}

/** Writes the number that {@link readDecodedSize} reads. */
export function writeDecodedSize(size: number): Uint8Array {
  const bytes: number[] = [];
  for (; size >= 128; size = Math.floor(size / 128)) bytes.push((size % 128) | 0x80);
  return Uint8Array.of(...bytes, size);
}

/**
 * Decodes, checking every length and distance. `snappyjs` only compresses here: its decoder takes a
 * truncated stream for one that ends in zeros, can be sent into an endless loop, and is no faster.
 *
 * @param size the result of {@link readDecodedSize}.
 */
export function decodeElements(bytes: Uint8Array, size: number): Uint8Array | Promise<Uint8Array> {
  const decoding: Decoding = { read: headerLength(bytes), written: 0, output: allocateBytes(size) };
  if (size > STEP) return decodeInSteps(bytes, decoding);
  decodeUntil(bytes, decoding, size);
  return whole(decoding);
}

/** The progress of decoding. */
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

/** Decodes to the end, or through the first element that ends after `stop` decoded bytes. */
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
    // Byte by byte: if the distance is less than the length, the copy repeats its own output.
    for (const last = written + length; written < last; written++) {
      output[written] = output[written - distance] as number;
    }
  }
  decoding.read = read;
  decoding.written = written;
}

/** Bytes that are decoded in a few milliseconds. */
const STEP = 2 ** 20;

/** Kinds of element: literal bytes, or a copy of earlier ones, by the width of its distance. */
const LITERAL = 0;
const COPY_1 = 1;
const COPY_2 = 2;

/** No element decodes to more than 64 bytes for each 3 of its own. */
const MAX_RATIO = 64 / 3;

/** The length of the decoded size, in bytes. */
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
