import { Pace } from "../async/pace.js";
import { PartdError } from "../errors.js";
import { encodeKey, type Key } from "../keys/keys.js";
import { concatBytes } from "../memory/bytes.js";
import { checkOperation } from "./operation-options.js";
import type { EntriesOptions, KeysOptions, LowerStore, OperationOptions, Store } from "./store.js";

// Listings by the `keys`, `get` and `stream` of any store, for stores without a cheaper way.

/**
 * Yields every key of `store` with its value. Keys are read in groups if their sizes are known.
 *
 * @param sizes returns the bytes of each key's value, or nothing if only reading them would tell.
 * @param mostKeys how many keys `sizes` and `get` take at once. Default: any number.
 */
export async function* entriesByKey<V>(
  store: Pick<Store<V>, "keys" | "get" | "stream">,
  options: EntriesOptions = {},
  sizes?: (keys: readonly Key[]) => Promise<readonly number[] | undefined>,
  mostKeys = Number.POSITIVE_INFINITY,
): AsyncGenerator<readonly [Key, V], void, undefined> {
  checkOperation("entries", options);
  const longest = checkLongest(options);
  const groupKeys = Math.min(mostKeys, GROUP_KEYS);
  const { longest: _, ...listing } = options;
  const reading: OperationOptions = { signal: options.signal };
  let keys: Key[] = [];
  for await (const key of store.keys(listing)) {
    if (keys.push(key) === groupKeys) {
      yield* read(keys);
      keys = [];
    }
  }
  yield* read(keys);

  async function* read(group: readonly Key[]): AsyncGenerator<readonly [Key, V], void, undefined> {
    const lengths = await sizes?.(group);
    for (let next = 0; next < group.length; ) {
      const first = group[next] as Key;
      if ((lengths?.[next] ?? 0) > longest) {
        for await (const piece of store.stream(first, reading)) yield [first, piece];
        next++;
        continue;
      }
      const from = next++;
      let bytes = lengths?.[from] ?? GROUP_BYTES;
      while (next < group.length && lengths !== undefined) {
        const length = lengths[next] as number;
        if (length > longest || bytes + length > GROUP_BYTES) break;
        bytes += length;
        next++;
      }
      const together = group.slice(from, next);
      const values = await store.get(together, reading);
      for (const [i, key] of together.entries()) {
        options.signal?.throwIfAborted();
        yield [key, values[i] as V];
      }
    }
  }
}

/**
 * The same for bytes. Keys that are deleted meanwhile are left out; values of unknown size are
 * streamed.
 */
export async function* byteEntries(
  store: Pick<Store, "keys" | "get" | "stream">,
  options: EntriesOptions,
  sizes?: (keys: readonly Key[]) => Promise<readonly number[] | undefined>,
  mostKeys?: number,
): AsyncGenerator<readonly [Key, Uint8Array], void, undefined> {
  const longest = checkLongest(options);
  if (longest === Number.POSITIVE_INFINITY || (await sizes?.([])) !== undefined) {
    for await (const entry of entriesByKey(store, options, sizes, mostKeys)) {
      if (entry[1].byteLength > 0) yield entry;
    }
    return;
  }
  const { longest: _, ...listing } = options;
  for await (const key of store.keys(listing)) {
    const pieces = store.stream(key, { signal: options.signal });
    for await (const piece of gatherPieces(pieces, longest)) yield [key, piece];
  }
}

/** Yields a value of up to `longest` bytes as one piece, and a longer one in pieces. */
async function* gatherPieces(
  pieces: AsyncIterable<Uint8Array>,
  longest: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    held.push(piece);
    bytes += piece.byteLength;
    if (bytes <= longest) continue;
    yield* held;
    held = [];
  }
  if (held.length > 0) yield concatBytes(held);
}

/** Selects the keys that a listing asks for from all encoded keys of a store. */
export async function* selectKeys(
  texts: Iterable<string> | AsyncIterable<string>,
  options: KeysOptions,
): AsyncGenerator<string, void, undefined> {
  const start = prefixText(options);
  const pace = new Pace();
  const found: string[] = [];
  for await (const text of texts) {
    if (pace.due) {
      await pace.rest();
      options.signal?.throwIfAborted();
    }
    if (!text.startsWith(start)) continue;
    if (options.sorted) found.push(text);
    else yield text;
  }
  yield* await sortTexts(found, pace, options.signal);
}

/**
 * Sorts by UTF-16 units, which is byte by byte: an encoded key is ASCII. Sorts runs and merges them, with
 * rests: a sort of a million keys at once would block the event loop for a second.
 */
async function sortTexts(
  texts: string[],
  pace: Pace,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const rest = async () => {
    await pace.rest();
    signal?.throwIfAborted();
  };
  if (texts.length <= RUN_KEYS) return texts.sort();
  let from: string[] = [];
  for (let at = 0; at < texts.length; at += RUN_KEYS) {
    for (const text of texts.slice(at, at + RUN_KEYS).sort()) from.push(text);
    if (pace.isOver) await rest();
  }
  let to = texts;
  for (let run = RUN_KEYS; run < from.length; run *= 2) {
    for (let start = 0; start < from.length; start += 2 * run) {
      const middle = Math.min(start + run, from.length);
      const end = Math.min(start + 2 * run, from.length);
      for (let left = start, right = middle, at = start; at < end; at++) {
        const isLeft =
          right === end || (left < middle && (from[left] as string) <= (from[right] as string));
        to[at] = from[isLeft ? left++ : right++] as string;
        if (pace.due) await rest();
      }
    }
    [from, to] = [to, from];
  }
  return from;
}

/**
 * The text that the encoded keys of a listing begin with.
 *
 * @throws `ERR_PARTD_KEY` if `prefix` is not a key.
 */
export function prefixText({ prefix }: KeysOptions): string {
  return prefix === undefined ? "" : `${encodeKey(prefix)}/`;
}

/** @throws `ERR_PARTD_VALUE` unless `longest` is a number of bytes, if it is given. */
export function checkLongest({ longest = Number.POSITIVE_INFINITY }: EntriesOptions): number {
  if (typeof longest === "number" && longest >= 0) return longest;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `longest must be a number of bytes, 0 or more, not ${String(longest)}.`,
  );
}

/** Counts keys by listing them. */
export async function countKeys(
  store: Pick<Store<unknown>, "keys">,
  options?: OperationOptions,
): Promise<number> {
  let count = 0;
  for await (const _ of store.keys(options)) count++;
  return count;
}

/** The stored bytes of each key's value, from one call if the store has `sizes`. */
export async function sizesOf(
  store: Pick<LowerStore, "size" | "sizes">,
  keys: readonly Key[],
  options?: OperationOptions,
): Promise<readonly number[]> {
  if (store.sizes) return store.sizes(keys, options);
  const sizes: number[] = [];
  while (sizes.length < keys.length) {
    const some = keys.slice(sizes.length, sizes.length + SIZES_AT_ONCE);
    sizes.push(...(await Promise.all(some.map((key) => store.size(key, options)))));
  }
  return sizes;
}

/** The size of a value, found by streaming it: 0 for an absent key. */
export async function streamedSize(
  store: Pick<Store, "stream">,
  key: Key,
  options?: OperationOptions,
): Promise<number> {
  let bytes = 0;
  for await (const piece of store.stream(key, options)) bytes += piece.byteLength;
  return bytes;
}

/** Limits of a group of values: enough for a store to read them in the order in which they lie. */
const GROUP_BYTES = 1 << 20;
const GROUP_KEYS = 1 << 10;
/** How many keys are sorted at once, in a millisecond or two. */
const RUN_KEYS = 4096;
/** How many sizes are asked for at once: each may stream its value. */
const SIZES_AT_ONCE = 64;
