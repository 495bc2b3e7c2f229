import { PartdError } from "../errors.js";
import { isBytes } from "../store/batch.js";
import type { GetOptions } from "../store/store.js";

/** Concatenates the pieces in memory of their own. */
export function concatBytes(
  pieces: readonly Uint8Array[],
  allocate: (byteLength: number) => Uint8Array = allocateBytes,
): Uint8Array {
  let byteLength = 0;
  for (const piece of pieces) byteLength += piece.length;
  const bytes = allocate(byteLength);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}

/**
 * Allocates an array with memory of its own. The caller must set every byte: under Node they hold
 * what the memory held before, because clearing 1 MiB takes as long as filling it.
 *
 * @throws `ERR_PARTD_VALUE` if the runtime cannot hold so many bytes in one piece.
 */
export function allocateBytes(byteLength: number): Uint8Array<ArrayBuffer> {
  try {
    if (byteLength < WORTH_IT || !unset) return new Uint8Array(byteLength);
    return new Uint8Array(unset(byteLength).buffer);
  } catch (cause) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${byteLength} bytes are more than can be held in one piece here; use stream() to read the value in pieces.`,
      { cause },
    );
  }
}

/**
 * Memory for a value to be read into: from `allocate`, if the caller of `get` has passed that.
 *
 * @throws `ERR_PARTD_VALUE` if it has another length.
 */
export function memoryFor(byteLength: number, { allocate }: GetOptions): Uint8Array {
  if (!allocate) return allocateBytes(byteLength);
  const bytes = allocate(byteLength);
  if (isBytes(bytes) && bytes.byteLength === byteLength) return bytes;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `allocate was asked for ${byteLength} bytes and has to answer with a Uint8Array of that length.`,
  );
}

/** The bytes in memory of their own: copied if they are a view of a larger buffer, such as Node's pool. */
export function ownBytes({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return byteLength === buffer.byteLength
    ? new Uint8Array(buffer)
    : new Uint8Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** Node's way to memory that is neither cleared nor part of a pool. */
const unset = (
  globalThis as { Buffer?: { allocUnsafeSlow?(size: number): Uint8Array<ArrayBuffer> } }
).Buffer?.allocUnsafeSlow;
const WORTH_IT = 4096;

/**
 * Frees the memory of a large array now, instead of at some later garbage collection. The array and
 * all other views of its buffer become empty.
 */
export function releaseBytes({ buffer }: Uint8Array<ArrayBuffer>): void {
  const { transfer } = buffer as { transfer?: (byteLength: number) => ArrayBuffer };
  if (transfer) {
    transfer.call(buffer, 0);
    return;
  }
  // Before Node 22: post the buffer to a closed port, which frees it before the call returns. A message to
  // an open port is freed only in a later turn of the event loop: a record of 75 MB was in memory twice.
  closedPort ??= makeClosedPort();
  closedPort.postMessage(buffer, [buffer]);
}

let closedPort: MessagePort | undefined;

function makeClosedPort(): MessagePort {
  const { port1 } = new MessageChannel();
  port1.close();
  return port1;
}
