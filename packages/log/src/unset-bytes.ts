import { allocateBytes } from "@partd/core";

/**
 * An array of its own whose bytes are yet to be set, every one. To read 100 MB so takes half the
 * time: memory that was freed is used again, and none is cleared.
 *
 * @throws `ERR_PARTD_VALUE` where the runtime cannot hold so many bytes in one piece.
 */
export function unsetBytes(byteLength: number): Uint8Array {
  if (byteLength === 0 || byteLength > LARGEST) return allocateBytes(byteLength);
  return new Uint8Array(Buffer.allocUnsafeSlow(byteLength).buffer);
}

/** Above it the error has to be ours. */
const LARGEST = 2 ** 30;
