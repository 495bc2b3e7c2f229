import type { Dtype } from "./dtype.js";

/**
 * The dtypes that are known to be in the store, so that an append need not look. A key's dtype can
 * only go with the key: while keys are being removed none is known, and a removal first waits for
 * the appends that relied on one. (What another process removes meanwhile cannot be seen.)
 */
export class KnownDtypes {
  readonly #dtypes = new Map<string, Dtype>();
  readonly #appends = new Set<Promise<unknown>>();
  #removals = 0;

  get(key: string): Dtype | undefined {
    return this.#removals === 0 ? this.#dtypes.get(key) : undefined;
  }

  /** Called while the lock of the store is held. */
  set(key: string, dtype: Dtype): void {
    this.#dtypes.set(key, dtype);
  }

  /** An append that relies on what is known. */
  async appending(append: Promise<void>): Promise<void> {
    this.#appends.add(append);
    try {
      await append;
    } finally {
      this.#appends.delete(append);
    }
  }

  /** Runs `removal`, and forgets `keys`, or all. */
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
