import type { Dtype } from "./dtype.js";

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
