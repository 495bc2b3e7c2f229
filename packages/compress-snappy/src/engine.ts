import { concatBytes, Pace } from "@partd/core/author";
import { compress as compressWithSnappyjs } from "snappyjs";
import { decodeElements, headerLength, writeDecodedSize } from "./format.js";

/** The engine that runs everywhere, for many bytes in steps between which other work can run. */
export function compress(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
  // A view of another kind, such as Node's Buffer, would come back as its own kind.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return plain.byteLength <= STEP ? compressWithSnappyjs(plain) : compressInSteps(plain);
}

/** @param size the decoded size, which the bytes begin with */
export function decompress(bytes: Uint8Array, size: number): Uint8Array | Promise<Uint8Array> {
  return decodeElements(bytes, size);
}

/** As snappyjs takes each 64 KiB by itself, these are the same bytes as it gives in one go. */
async function compressInSteps(bytes: Uint8Array): Promise<Uint8Array> {
  const pieces = [writeDecodedSize(bytes.byteLength)];
  const pace = new Pace();
  for (let start = 0; start < bytes.byteLength; start += STEP) {
    if (pace.isOver) await pace.rest();
    const piece = compressWithSnappyjs(bytes.subarray(start, start + STEP));
    pieces.push(piece.subarray(headerLength(piece)));
  }
  return concatBytes(pieces);
}

/** Bytes compressed in some milliseconds. */
const STEP = 2 ** 20;
