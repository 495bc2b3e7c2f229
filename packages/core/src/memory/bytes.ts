import { PartdError } from "../errors.js";
import { isBytes } from "../store/batch.js";
import type { GetOptions } from "../store/store.js";

/** The pieces end to end, in memory of their own. */
export function concatBytes(
  pieces: readonly Uint8Array[],
  allocate: (byteLength: number) => Uint8Array = allocateBytes,
): Uint8Array {
  let byteLength = 0;
  for (const piece of pieces) byteLength += piece.byteLength;
  const bytes = allocate(byteLength);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.byteLength;
  }
  return bytes;
}

/**
 * An array of its own whose bytes are yet to be set, every one: under Node they are what its memory
 * held before. To clear 1 MiB takes as long as to fill it.
 *
 * @throws `ERR_PARTD_VALUE` where the runtime cannot hold so many bytes in one piece.
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
 * Memory for a value that is read: from `allocate`, if the caller gave that to `get`.
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

/** Node's way to memory that is not cleared, and is not part of a pool. */
const unset = (
  globalThis as { Buffer?: { allocUnsafeSlow?(size: number): Uint8Array<ArrayBuffer> } }
).Buffer?.allocUnsafeSlow;
const WORTH_IT = 4096;

/**
 * Gives the memory of a large array back at once, where garbage would linger: the array is empty from then on, as
 * are all views of its buffer.
 */
export function releaseBytes({ buffer }: Uint8Array<ArrayBuffer>): void {
  const { transfer } = buffer as { transfer?: (byteLength: number) => ArrayBuffer };
  if (transfer) {
    transfer.call(buffer, 0);
    return;
  }
  // Before Node 22: it goes with a message that no one receives.
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(buffer, [buffer]);
  port1.close();
  port2.close();
}
