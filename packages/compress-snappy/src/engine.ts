import { compress as compressWithSnappyjs } from "snappyjs";
import { decodeElements } from "./format.js";

/** The engine that runs everywhere. */
export function compress(bytes: Uint8Array): Uint8Array {
  // A view of another kind, such as Node's Buffer, would come back as its own kind.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return compressWithSnappyjs(plain);
}

/** @param size the decoded size, which the bytes begin with */
export function decompress(bytes: Uint8Array, size: number): Uint8Array {
  return decodeElements(bytes, size);
}
