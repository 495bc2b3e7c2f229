import { allocateEncoded, concatBytes, Pace } from "@partd/core/author";
import { compress as compressWithSnappyjs } from "snappyjs";
import { decodeElements, headerLength, writeDecodedSize } from "./format.js";

/** Compresses on any platform; many bytes in steps, between which other work can run. */
export function compress(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
  // snappyjs returns the class it is given: a Buffer would come back as a Buffer.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return plain.byteLength <= STEP ? compressWithSnappyjs(plain) : compressInSteps(plain);
}

/** @param size the decoded size, with which the bytes begin. */
export function decompress(bytes: Uint8Array, size: number): Uint8Array | Promise<Uint8Array> {
  return decodeElements(bytes, size);
}

/** Gives the same bytes as one call, because snappyjs compresses each 64 KiB by itself. */
async function compressInSteps(bytes: Uint8Array): Promise<Uint8Array> {
  const pieces = [writeDecodedSize(bytes.byteLength)];
  const pace = new Pace();
  for (let start = 0; start < bytes.byteLength; start += STEP) {
    if (pace.isOver) await pace.rest();
    const piece = compressWithSnappyjs(bytes.subarray(start, start + STEP));
    pieces.push(piece.subarray(headerLength(piece)));
  }
  return concatBytes(pieces, allocateEncoded);
}

/** Bytes that are compressed in a few milliseconds. */
const STEP = 2 ** 20;
