import { type Key, PartdError } from "@partd/core";
import {
  type AppendOptions,
  describeKey,
  knownFormat,
  type LowerStore,
  suffixKey,
} from "@partd/core/author";
import type { Dtype } from "./dtype.js";

/** The key that holds the dtype of `key`, as in Python's partd: `<key>.dtype`. */
export function dtypeKey(key: Key): Key {
  return suffixKey(key, ".dtype");
}

export function dtypeEntry(key: Key, dtype: Dtype): readonly [Key, Uint8Array] {
  return [dtypeKey(key), encoder.encode(dtype.text)];
}

export function checkKey(key: Key): void {
  if (!isDtypeKey(key)) return;
  throw new PartdError(
    "ERR_PARTD_KEY",
    `The key ${describeKey(key)} ends in ".dtype", as the keys do that say what an array is; use another name.`,
    { key },
  );
}

export function isDtypeKey(key: Key): boolean {
  const last = typeof key === "string" ? key : (key.parts.at(-1) as string);
  return last.endsWith(".dtype");
}

export function withDtypes(keys: readonly Key[]): Key[] {
  return [...keys, ...keys.map(dtypeKey)];
}

/** @param bytes the value, or its beginning. */
export function noDtype(key: Key, bytes: Uint8Array): PartdError {
  const format = knownFormat(bytes);
  if (format !== undefined) {
    return new PartdError(
      "ERR_PARTD_CODEC",
      `The key ${describeKey(key)} holds no array of NdArray: it begins as ${format}; append the array that is in it.`,
      { key, offset: 0 },
    );
  }
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The key ${describeKey(key)} holds bytes but no dtype (${describeKey(dtypeKey(key))}); it was not written through NdArray, or half of it was deleted.`,
    { key, offset: 0 },
  );
}

const encoder = new TextEncoder();

/**
 * The dtypes known to be in the store, so that an append need not read them. A key's dtype
 * disappears only with the key: during a removal no dtype is known, and a removal first waits for
 * the appends that relied on one. (Removals by other processes cannot be seen.)
 */
export class KnownDtypes {
  readonly #dtypes = new Map<string, Dtype>();
  readonly #appends = new Set<Promise<unknown>>();
  #removals = 0;

  get(key: string): Dtype | undefined {
    return this.#removals === 0 ? this.#dtypes.get(key) : undefined;
  }

  /** Call this under the store's lock. */
  set(key: string, dtype: Dtype): void {
    this.#dtypes.set(key, dtype);
  }

  /** Tracks an append that relies on a known dtype. */
  async appending(append: Promise<void>): Promise<void> {
    this.#appends.add(append);
    try {
      await append;
    } finally {
      this.#appends.delete(append);
    }
  }

  /** Runs `removal`, then forgets the dtypes of `keys`, or all. */
  async removing<T>(keys: readonly string[] | undefined, removal: () => Promise<T>): Promise<T> {
    this.#removals++;
    try {
      await Promise.allSettled(this.#appends);
      return await removal();
    } finally {
      if (keys === undefined) this.#dtypes.clear();
      else for (const key of keys) this.#dtypes.delete(key);
      this.#removals--;
    }
  }
}

/** Sets a key to one array. Call this under the store's lock. */
export async function replaceArray(
  store: LowerStore,
  { key, dtype, bytes }: { readonly key: Key; readonly dtype: Dtype; readonly bytes: Uint8Array },
  options?: AppendOptions,
): Promise<void> {
  const both = [key, dtypeKey(key)];
  const stored = await store.get(dtypeKey(key), options);
  const batch = bytes.byteLength > 0 ? [dtypeEntry(key, dtype), [key, bytes] as const] : [];
  if (batch.length > 0 && utf8.decode(stored) === dtype.text) {
    return store.iset(key, bytes, { ...options, replace: true });
  }
  const before = await store.get(both, options);
  try {
    if (before.some(({ byteLength }) => byteLength > 0)) await store.delete(both, options);
    await store.append(batch, options);
  } catch (error) {
    await putBack(store, both, before).catch(() => {}); // The first error says more.
    throw error;
  }
}

/** Appends the values that are gone. It takes no signal, so that it cannot be aborted. */
async function putBack(store: LowerStore, keys: readonly Key[], before: readonly Uint8Array[]) {
  const now = await store.get(keys);
  const gone = keys.flatMap((key, i) =>
    now[i]?.byteLength === 0 ? [[key, before[i] as Uint8Array] as const] : [],
  );
  await store.append(gone);
}

const utf8 = new TextDecoder();
