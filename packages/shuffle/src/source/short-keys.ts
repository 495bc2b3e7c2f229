import { createHash } from "node:crypto";
import { LONG_BYTES } from "../spill/frame.js";
import { keyItems } from "./key-items.js";
import type { KeyedBatch } from "./keyed-batch.js";

/**
 * Replaces each long key by its digest, so that the key itself is in memory and on the disk once: in its
 * record. Keys are equal if their digests are, since nobody can make two with the same SHA-256. Hashes stay
 * those of the keys.
 *
 * A digest is the byte 6, with which no key begins; 1 if the key has an item that is `null` or missing; 32 bytes.
 */
export function withShortKeys<K extends Keys>(batch: K): K {
  const { count, keys, keyStarts, keyEnds } = batch;
  let i = 0;
  while (i < count && keyEnds[i]! - keyStarts[i]! < LONG_BYTES) i++;
  if (i === count) return batch;
  const parts: Uint8Array[] = [];
  const starts = new Uint32Array(count);
  const ends = new Uint32Array(count);
  let length = 0;
  for (i = 0; i < count; i++) {
    const key = keys.subarray(keyStarts[i], keyEnds[i]);
    const part = key.length < LONG_BYTES ? key : digestOf(key);
    parts.push(part);
    starts[i] = length;
    length += part.length;
    ends[i] = length;
  }
  return { ...batch, keys: Buffer.concat(parts, length), keyStarts: starts, keyEnds: ends };
}

type Keys = Pick<KeyedBatch, "count" | "keys" | "keyStarts" | "keyEnds">;

function digestOf(key: Uint8Array): Uint8Array {
  const digest = new Uint8Array(34);
  digest[0] = DIGEST;
  digest[1] = isList(key[0]!) && hasNothing(key) ? 1 : 0;
  digest.set(createHash("sha256").update(key).digest(), 2);
  return digest;
}

export function isDigest(keys: Uint8Array, start: number): boolean {
  return keys[start] === DIGEST;
}

/** Whether the digest is that of a list with an item that is `null` or missing. */
export function isDigestOfNothing(keys: Uint8Array, start: number): boolean {
  return keys[start + 1] === 1;
}

function isList(first: number): boolean {
  return first === 0x5b || first === 4;
}

function hasNothing(list: Uint8Array): boolean {
  for (const [start] of keyItems(list, 0, list.length)) {
    if (list[start] === 0 || list[start] === LETTER_N) return true;
  }
  return false;
}

/** The first byte of a digest. */
const DIGEST = 6;
/** The first byte of `null`. */
const LETTER_N = 0x6e;
