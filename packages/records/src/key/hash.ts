/**
 * The hash of an encoded key: XXH64 (xxhash.com, specification 0.1.1), by default with seed 0, as
 * two halves of 32 bits. The next call reuses the returned object.
 *
 * 64-bit numbers are kept as two of 32 bits: with `bigint` this takes 40 times as long.
 */
export function hashKey(
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
  seed = 0,
): { readonly low: number; readonly high: number } {
  const length = end - start;
  let at = start;
  if (length >= 32) {
    at = hashStripes(bytes, start, end, seed);
  } else {
    low = seed >>> 0;
    high = 0;
    add(P5_LOW, P5_HIGH);
  }
  return finish(bytes, at, end, length);
}

/** The hash of bytes that come piece by piece, with seed 0. */
export class RunningHash {
  readonly #lanes = new Int32Array(8);
  /** The bytes since the last whole stripe. */
  readonly #rest = new Uint8Array(32);
  #restLength = 0;
  #length = 0;

  constructor() {
    beginLanes(this.#lanes, 0);
  }

  add(bytes: Uint8Array): void {
    this.#length += bytes.length;
    let at = 0;
    if (this.#restLength > 0) {
      at = Math.min(32 - this.#restLength, bytes.length);
      this.#rest.set(bytes.subarray(0, at), this.#restLength);
      this.#restLength += at;
      if (this.#restLength < 32) return;
      addStripes(this.#lanes, this.#rest, 0, 32);
    }
    at = addStripes(this.#lanes, bytes, at, bytes.length);
    this.#rest.set(bytes.subarray(at));
    this.#restLength = bytes.length - at;
  }

  /** The lower 32 bits. */
  get low(): number {
    if (this.#length >= 32) joinLanes(this.#lanes);
    else {
      low = P5_LOW;
      high = P5_HIGH;
    }
    return finish(this.#rest, 0, this.#restLength, this.#length).low;
  }
}

/** Adds the bytes behind the last whole stripe to the accumulator, and mixes it. */
function finish(bytes: Uint8Array, start: number, end: number, length: number) {
  let at = start;
  add(length | 0, Math.floor(length / 2 ** 32));
  for (; at + 8 <= end; at += 8) {
    round(0, 0, read32(bytes, at), read32(bytes, at + 4));
    low ^= roundLow;
    high ^= roundHigh;
    rotate(27);
    multiply(P1_LOW, P1_HIGH);
    add(P4_LOW, P4_HIGH);
  }
  if (at + 4 <= end) {
    xorProduct(read32(bytes, at), P1_LOW, P1_HIGH);
    rotate(23);
    multiply(P2_LOW, P2_HIGH);
    add(P3_LOW, P3_HIGH);
    at += 4;
  }
  for (; at < end; at++) {
    xorProduct(bytes[at]!, P5_LOW, P5_HIGH);
    rotate(11);
    multiply(P1_LOW, P1_HIGH);
  }
  low ^= high >>> 1; // h ^= h >> 33
  multiply(P2_LOW, P2_HIGH);
  const shifted = (low >>> 29) | (high << 3); // h ^= h >> 29
  high ^= high >>> 29;
  low ^= shifted;
  multiply(P3_LOW, P3_HIGH);
  low ^= high; // h ^= h >> 32
  result.low = low >>> 0;
  result.high = high >>> 0;
  return result;
}

/** The partition of a hash among `partitions`, at most 2^21: `(high × partitions) >> 32`. */
export function partitionOf(_hashLow: number, hashHigh: number, partitions: number): number {
  return Math.floor((hashHigh * partitions) / 2 ** 32);
}

const P1_LOW = 0x85ebca87;
const P1_HIGH = 0x9e3779b1;
const P2_LOW = 0x27d4eb4f;
const P2_HIGH = 0xc2b2ae3d;
const P3_LOW = 0x9e3779f9;
const P3_HIGH = 0x165667b1;
const P4_LOW = 0xc2b2ae63;
const P4_HIGH = 0x85ebca77;
const P5_LOW = 0x165667c5;
const P5_HIGH = 0x27d4eb2f;

const result = { low: 0, high: 0 };

/** The accumulator of the functions below. */
let low = 0;
let high = 0;
let roundLow = 0;
let roundHigh = 0;
const lanes = new Int32Array(8);

/** Hashes all whole stripes of 32 bytes into the accumulator. Returns where they end. */
function hashStripes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  beginLanes(lanes, seed);
  const at = addStripes(lanes, bytes, start, end);
  joinLanes(lanes);
  return at;
}

function beginLanes(lanes: Int32Array, seed: number): void {
  for (let lane = 0; lane < 4; lane++) {
    low = seed >>> 0;
    high = 0;
    if (lane === 0) add(P1_LOW, P1_HIGH);
    if (lane < 2) add(P2_LOW, P2_HIGH);
    if (lane === 3) add(~P1_LOW + 1, ~P1_HIGH);
    lanes[2 * lane] = low;
    lanes[2 * lane + 1] = high;
  }
}

function addStripes(lanes: Int32Array, bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  for (; at + 32 <= end; at += 32) {
    for (let lane = 0; lane < 4; lane++) {
      const from = at + 8 * lane;
      round(lanes[2 * lane]!, lanes[2 * lane + 1]!, read32(bytes, from), read32(bytes, from + 4));
      lanes[2 * lane] = roundLow;
      lanes[2 * lane + 1] = roundHigh;
    }
  }
  return at;
}

/** Makes the accumulator of the four lanes. */
function joinLanes(lanes: Int32Array): void {
  let sumLow = 0;
  let sumHigh = 0;
  for (let lane = 0; lane < 4; lane++) {
    low = lanes[2 * lane]!;
    high = lanes[2 * lane + 1]!;
    rotate([1, 7, 12, 18][lane]!);
    add(sumLow, sumHigh);
    sumLow = low;
    sumHigh = high;
  }
  for (let lane = 0; lane < 4; lane++) {
    round(0, 0, lanes[2 * lane]!, lanes[2 * lane + 1]!);
    low ^= roundLow;
    high ^= roundHigh;
    multiply(P1_LOW, P1_HIGH);
    add(P4_LOW, P4_HIGH);
  }
}

/** roundLow, roundHigh = rotl(lane + input × P2, 31) × P1. The accumulator stays as it is. */
function round(laneLow: number, laneHigh: number, inputLow: number, inputHigh: number): void {
  const savedLow = low;
  const savedHigh = high;
  low = inputLow;
  high = inputHigh;
  multiply(P2_LOW, P2_HIGH);
  add(laneLow, laneHigh);
  rotate(31);
  multiply(P1_LOW, P1_HIGH);
  roundLow = low;
  roundHigh = high;
  low = savedLow;
  high = savedHigh;
}

function xorProduct(value: number, factorLow: number, factorHigh: number): void {
  const savedLow = low;
  const savedHigh = high;
  low = value;
  high = 0;
  multiply(factorLow, factorHigh);
  low ^= savedLow;
  high ^= savedHigh;
}

function add(otherLow: number, otherHigh: number): void {
  const sum = (low >>> 0) + (otherLow >>> 0);
  high = (high + otherHigh + (sum > 0xffffffff ? 1 : 0)) | 0;
  low = sum | 0;
}

function multiply(otherLow: number, otherHigh: number): void {
  const a0 = low & 0xffff;
  const a1 = low >>> 16;
  const b0 = otherLow & 0xffff;
  const b1 = otherLow >>> 16;
  const p00 = a0 * b0;
  const middle = a1 * b0 + (p00 >>> 16); // Below 2^32.
  const p01 = a0 * b1 + (middle & 0xffff);
  const carry = a1 * b1 + (middle >>> 16) + (p01 >>> 16);
  high = (carry + Math.imul(low, otherHigh) + Math.imul(high, otherLow)) | 0;
  low = (p01 << 16) | (p00 & 0xffff) | 0;
}

function rotate(bits: number): void {
  const rotated = (low << bits) | (high >>> (32 - bits));
  high = (high << bits) | (low >>> (32 - bits));
  low = rotated;
}

function read32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
