import { PartdError } from "@partd/core";
import { checkDecodedSize, compressLater, concatBytes, needWebAssembly } from "@partd/core/author";
import Zstd from "numcodecs/zstd";
import { decodedBound, fitWindows, framesOf } from "./frame-bound.js";

/** Compresses with the wasm build of libzstd in `numcodecs`, which runs on any platform. */
export async function compress(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  if (bytes.byteLength > MAX_BYTES) {
    throw new PartdError("ERR_PARTD_VALUE", `zstd takes at most ${MAX_BYTES} bytes at once here.`);
  }
  needWebAssembly();
  return compressLater(bytes, (bytes) => new Zstd(level).encode(bytes));
}

/**
 * Decompresses frames whose headers stay within the limit; libzstd itself takes no limit.
 *
 * Each frame that fails permanently costs the engine some of a stack of 64 KiB. Without enough of it,
 * it would fail on good values, or write wrong bytes. So after many failures it only compresses.
 */
export async function decompress(bytes: Uint8Array, maxDecodedBytes: number): Promise<Uint8Array> {
  const { bound } = decodedBound(bytes);
  checkDecodedSize(bound, Math.min(maxDecodedBytes, MAX_BYTES));
  const fitted = fitWindows(bytes, bound);
  if (failures >= MOST_FAILURES || !hasWebAssembly()) return decodeSparely(fitted);
  try {
    return await new Zstd().decode(fitted);
  } catch (error) {
    failures++;
    throw error;
  }
}

function hasWebAssembly(): boolean {
  try {
    needWebAssembly();
    return true;
  } catch {
    return false;
  }
}

let failures = 0;
const MOST_FAILURES = 256;

/** The module has 2 GiB for a value, its copy and the result. */
const MAX_BYTES = 2 ** 29;

/**
 * Decodes frames in plain JavaScript. It takes a few times as long as the wasm build, but damaged
 * frames do it no lasting harm.
 *
 * @param bytes frames whose decoded size is known to be within the limit, with windows that fit it: the
 *   decoder allocates them.
 */
export async function decodeSparely(bytes: Uint8Array): Promise<Uint8Array> {
  const { Decompress } = await import("fzstd");
  const all: Uint8Array[] = [];
  for (const frame of framesOf(bytes)) {
    const pieces: Uint8Array[] = [];
    const stream = new Decompress((piece) => {
      pieces.push(piece.slice()); // The decoder goes on to use its memory.
    });
    stream.push(bytes.slice(frame.start, frame.end), true);
    const decoded = concatBytes(pieces);
    if (frame.exact ? decoded.byteLength !== frame.bound : decoded.byteLength > frame.bound) {
      throw new Error("they decode to another size than they state.");
    }
    if (frame.hasChecksum && xxh64(decoded) !== readUint32(bytes, frame.end - 4)) {
      throw new Error("their checksum is another.");
    }
    all.push(decoded);
  }
  return all.length === 1 ? (all[0] as Uint8Array) : concatBytes(all);
}

function readUint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0, true);
}

/**
 * The low 32 bits of XXH64 with seed 0.
 *
 * @see https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
export function xxh64(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { byteLength } = bytes;
  let at = 0;
  let hash = P5;
  if (byteLength >= 32) {
    const lanes = [u64(P1 + P2), P2, 0n, u64(-P1)];
    for (; at + 32 <= byteLength; at += 32) {
      for (let i = 0; i < 4; i++) {
        lanes[i] = round(lanes[i] as bigint, view.getBigUint64(at + i * 8, true));
      }
    }
    const [a, b, c, d] = lanes as [bigint, bigint, bigint, bigint];
    hash = u64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    for (const lane of lanes) hash = u64((hash ^ round(0n, lane)) * P1 + P4);
  }
  hash = u64(hash + BigInt(byteLength));
  for (; at + 8 <= byteLength; at += 8) {
    hash = u64(rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * P1 + P4);
  }
  if (at + 4 <= byteLength) {
    hash = u64(rotate(hash ^ u64(BigInt(view.getUint32(at, true)) * P1), 23n) * P2 + P3);
    at += 4;
  }
  for (; at < byteLength; at++) {
    hash = u64(rotate(hash ^ u64(BigInt(view.getUint8(at)) * P5), 11n) * P1);
  }
  hash = u64((hash ^ (hash >> 33n)) * P2);
  hash = u64((hash ^ (hash >> 29n)) * P3);
  return Number((hash ^ (hash >> 32n)) & 0xffff_ffffn);
}

const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;

function round(lane: bigint, word: bigint): bigint {
  return u64(rotate(u64(lane + word * P2), 31n) * P1);
}

function rotate(value: bigint, bits: bigint): bigint {
  return u64(value << bits) | (value >> (64n - bits));
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
