import { Dict, type Entries, isPartdError, type Store } from "@partd/core";
import { frame } from "@partd/core/author";

/** A decoder under test, as the store that is built on it. */
export interface Target {
  readonly name: string;
  /** Whether each value is one frame: then what is in it is mutated, and the frame made anew. */
  readonly framed: boolean;
  /** What stores of bytes hold where the key `x` was appended to: keys, and frames' contents. */
  readonly seeds: () => Promise<readonly Image[]>;
  readonly open: (store: Store) => Store<unknown>;
  /** Reads what a value only reads when asked for. It may not fail. */
  readonly touch?: (value: unknown) => void;
}

export type Image = readonly (readonly [key: string, bytes: Uint8Array])[];

/** The image that number `index` is, always the same. */
export function inputAt(seeds: readonly Image[], index: number): Image {
  const random = randomOf(index);
  const seed = seeds[random(seeds.length)] as Image;
  const other = seeds[random(seeds.length)]?.[0]?.[1] as Uint8Array;
  const chosen = random(seed.length);
  return seed.map(([key, bytes], i) => [key, i === chosen ? mutate(bytes, other, random) : bytes]);
}

/**
 * Reads one input in each way there is.
 *
 * @throws Broken where anything but a value or an error of ours comes of it, and where a value that
 * was read and could be appended again cannot be read then.
 */
export async function tryInput(target: Target, image: Image): Promise<void> {
  const lower = new Dict();
  await lower.append(
    image.map(([key, bytes]) => [key, target.framed ? frame(bytes) : bytes]) as Entries<Uint8Array>,
  );
  const store = target.open(lower);
  let read = 0;
  const streamed = await attempt("stream", async () => {
    for await (const value of store.stream("x")) {
      target.touch?.(value);
      read++;
    }
    return true;
  });
  const value = await attempt("get", () => store.get("x"));
  if (value === REFUSED) return;
  if (streamed === REFUSED && read === 0) throw new Broken("get reads what stream refuses", {});
  target.touch?.(value);
  const again = target.open(new Dict());
  const appended = await attempt("append of what was read", () => again.append([["x", value]]));
  if (appended !== REFUSED) target.touch?.(await again.get("x"));
}

class Broken extends Error {
  override readonly name = "Broken";
}

const REFUSED = Symbol("refused");

async function attempt<T>(what: string, call: () => Promise<T>): Promise<T | typeof REFUSED> {
  try {
    return await call();
  } catch (error) {
    const isOurs =
      isPartdError(error, "ERR_PARTD_CORRUPT") || isPartdError(error, "ERR_PARTD_CODEC");
    if (isOurs && (error as Error).message !== "") return REFUSED;
    throw new Broken(`${what}: ${error instanceof Error ? error.stack : String(error)}`, {
      cause: error,
    });
  }
}

/** Numbers from 0 up to `below`, the same ones for the same seed. */
type Random = (below: number) => number;

/** @see https://gist.github.com/tommyettinger/46a874533244883189143505d203312c (mulberry32) */
function randomOf(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1) | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** A copy of `bytes` with a few things wrong; `other` is what pieces are taken from. */
function mutate(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let mutated: Uint8Array = Uint8Array.from(bytes);
  for (let i = random(random(4) + 1); i >= 0; i--) {
    mutated = MUTATIONS[random(MUTATIONS.length)]?.(mutated, other, random) ?? mutated;
  }
  return mutated.byteLength <= MAX_BYTES ? mutated : mutated.slice(0, MAX_BYTES);
}

/** Pieces that are repeated make an input grow; what a few bytes can ask for is looked for here. */
const MAX_BYTES = 2 ** 18;

type Mutation = (bytes: Uint8Array, other: Uint8Array, random: Random) => Uint8Array;

const EDGES = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];
const LENGTHS = [0, 1, 0x7f, 0xff, 0x100, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

const flipBit: Mutation = (bytes, _, random) => {
  const at = random(bytes.byteLength);
  if (at < bytes.byteLength) bytes[at] = (bytes[at] as number) ^ (1 << random(8));
  return bytes;
};

const setByte: Mutation = (bytes, _, random) => {
  bytes[random(bytes.byteLength)] = random(2) ? random(256) : (EDGES[random(8)] as number);
  return bytes;
};

/** As most formats have their lengths and offsets, in either order of bytes. */
const setLength: Mutation = (bytes, _, random) => {
  if (bytes.byteLength < 8) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = random(bytes.byteLength - 7);
  const near = random(3) ? (LENGTHS[random(LENGTHS.length)] as number) : random(64) - 32;
  if (random(4) === 0) view.setBigInt64(at, BigInt(near) << BigInt(random(33)), random(2) === 0);
  else view.setInt32(at, near, random(2) === 0);
  return bytes;
};

/** A small step is what turns an offset to its neighbour, or to itself. */
const addToWord: Mutation = (bytes, _, random) => {
  if (bytes.byteLength < 4) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = random(bytes.byteLength >> 2) * 4;
  view.setInt32(at, view.getInt32(at, true) + (random(33) - 16) * (random(2) ? 4 : 1), true);
  return bytes;
};

const cut: Mutation = (bytes, _, random) => bytes.slice(0, random(bytes.byteLength + 1));

const remove: Mutation = (bytes, _, random) => {
  const start = random(bytes.byteLength + 1);
  return spliced(bytes, start, start + random(16), new Uint8Array());
};

const insert: Mutation = (bytes, _, random) => {
  const start = random(bytes.byteLength + 1);
  return spliced(
    bytes,
    start,
    start,
    Uint8Array.from({ length: random(9) }, () => random(256)),
  );
};

/** What is nested is then nested deeper, and what is counted is there more often. */
const repeat: Mutation = (bytes, _, random) => {
  const start = random(bytes.byteLength + 1);
  const piece = bytes.slice(start, start + random(32));
  const times = random(8) === 0 ? random(2000) : random(8);
  const pieces = new Uint8Array(piece.byteLength * times);
  for (let i = 0; i < times; i++) pieces.set(piece, i * piece.byteLength);
  return spliced(bytes, start, start, pieces);
};

const transplant: Mutation = (bytes, other, random) => {
  const from = random(other.byteLength + 1);
  const start = random(bytes.byteLength + 1);
  const piece = other.subarray(from, from + random(64));
  return spliced(bytes, start, start + random(2) * piece.byteLength, piece);
};

const MUTATIONS: readonly Mutation[] = [
  ...[flipBit, setByte, setByte, setLength, setLength, addToWord],
  ...[cut, remove, insert, repeat, transplant],
];

function spliced(bytes: Uint8Array, start: number, end: number, piece: Uint8Array): Uint8Array {
  const tail = bytes.subarray(Math.min(end, bytes.byteLength));
  const result = new Uint8Array(start + piece.byteLength + tail.byteLength);
  result.set(bytes.subarray(0, start));
  result.set(piece, start);
  result.set(tail, start + piece.byteLength);
  return result;
}
