import type { Blocks, Value } from "@partd/core/memory";

/**
 * The keys that reads and big appends have claimed, so that spills leave their values in place, and the
 * keys in flight.
 */
export class KeyClaims {
  /** Keys that are being read. */
  readonly reads = new Claims();
  /** Keys of big appends, including those that wait. */
  readonly bigAppends = new Claims();
  /** Keys of flights that carry more than what is in memory. */
  readonly bigFlights = new Claims();
  /** Claimed keys whose values are held, so that spills do not try them again and again. */
  readonly #parked = new Set<string>();
  readonly #blocks: Blocks;

  constructor(blocks: Blocks) {
    this.#blocks = blocks;
  }

  isInFlight(key: string): boolean {
    const value = this.#blocks.get(key);
    if (value !== undefined && this.#blocks.isHeld(value) && !this.#parked.has(key)) return true;
    return this.bigFlights.size > 0 && this.bigFlights.has(key);
  }

  /** Whether one of the keys is being read or in flight. */
  areBusy(keys: readonly string[]): boolean {
    return keys.some((key) => this.isInFlight(key) || this.reads.has(key));
  }

  /** Whether spills have to leave the key's value in place. */
  isClaimed(key: string): boolean {
    return this.reads.has(key) || this.bigAppends.has(key);
  }

  /** Holds the value of a claimed key until the claim ends. */
  park(value: Value): void {
    this.#blocks.hold(value);
    this.#parked.add(this.#blocks.key(value));
  }

  /** Passes the hold of a parked value to the caller. @returns whether there was one. */
  takeOver(key: string): boolean {
    return this.#parked.delete(key);
  }

  /** Ends a claim in one of these sets. @returns keys that spills may take again. */
  end(claims: Claims, claim: KeyClaim): readonly string[] {
    const freed = claims.end(claim).filter((key) => !this.isClaimed(key));
    for (const key of freed) {
      if (!this.#parked.delete(key)) continue;
      const value = this.#blocks.get(key);
      if (value !== undefined && this.#blocks.isHeld(value)) this.#blocks.letGo(value);
    }
    return freed;
  }
}

/** The keys of one read or one big append. */
export interface KeyClaim {
  readonly keys: readonly string[];
}

/**
 * A multiset of keys, in claims of many keys each. A look-up costs the same for any number of claims:
 * the keys are counted at the first look-up, since most claims come and go without one.
 */
export class Claims {
  readonly #counts = new Map<string, number>();
  readonly #uncounted = new Set<KeyClaim>();
  #size = 0;

  /** How many claims there are. */
  get size(): number {
    return this.#size;
  }

  begin(keys: readonly string[]): KeyClaim {
    const claim = { keys };
    this.#uncounted.add(claim);
    this.#size++;
    return claim;
  }

  /** @returns keys that may have been looked up, and that no claim has any longer. */
  end(claim: KeyClaim): string[] {
    this.#size--;
    if (this.#uncounted.delete(claim)) return [];
    const freed: string[] = [];
    for (const key of claim.keys) {
      const count = (this.#counts.get(key) as number) - 1;
      if (count > 0) {
        this.#counts.set(key, count);
      } else {
        this.#counts.delete(key);
        freed.push(key);
      }
    }
    return freed;
  }

  has(key: string): boolean {
    if (this.#size === 0) return false;
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
