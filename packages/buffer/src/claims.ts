/**
 * Which keys are claimed, by any number of claims of any number of keys each. To ask costs the same
 * however many there are; they are counted up when that is first asked, since most come and go
 * without.
 */
export class Claims {
  readonly #counts = new Map<string, number>();
  readonly #uncounted = new Set<Claim>();
  #size = 0;

  /** How many claims there are. */
  get size(): number {
    return this.#size;
  }

  enter(keys: readonly string[]): Claim {
    const claim = { keys };
    this.#uncounted.add(claim);
    this.#size++;
    return claim;
  }

  /** Calls `freed` with each key that was known to be claimed, and is no longer. */
  leave(claim: Claim, freed: (key: string) => void): void {
    this.#size--;
    if (this.#uncounted.delete(claim)) return;
    for (const key of claim.keys) {
      const count = (this.#counts.get(key) as number) - 1;
      if (count > 0) {
        this.#counts.set(key, count);
        continue;
      }
      this.#counts.delete(key);
      freed(key);
    }
  }

  has(key: string): boolean {
    if (this.#uncounted.size > 0) this.#count();
    return this.#counts.has(key);
  }

  #count(): void {
    for (const { keys } of this.#uncounted) {
      for (const key of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    }
    this.#uncounted.clear();
  }
}

export interface Claim {
  readonly keys: readonly string[];
}
