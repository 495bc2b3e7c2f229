import { PartdError } from "./errors.js";

/** The pieces end to end, as an array of its own. */
export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array {
  let byteLength = 0;
  for (const piece of pieces) byteLength += piece.byteLength;
  const bytes = allocateBytes(byteLength);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.byteLength;
  }
  return bytes;
}

/** @throws `ERR_PARTD_VALUE` where the runtime cannot hold so many bytes in one piece. */
export function allocateBytes(byteLength: number): Uint8Array {
  try {
    return new Uint8Array(byteLength);
  } catch (cause) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${byteLength} bytes are more than can be held in one piece here; use stream() to read the value in pieces.`,
      { cause },
    );
  }
}
