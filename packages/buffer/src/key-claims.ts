import type { Blocks, Value } from "@partd/core/memory";

/**
 * Which keys are claimed by reads and big appends, so that spills leave their values where they
 * are, and which are in flight.
 */
export class KeyClaims {
  /** Keys that are being read. */
  readonly reads = new Claims();
  /** Keys of big appends, those that wait included. */
  readonly bigAppends = new Claims();
  /** Keys of batches in flight that carry more than what is in memory. */
  readonly bigFlights = new Claims();
  /** Claimed keys whose values are held, so that they are not looked at again and again. */
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

  /** Whether a spill has to leave the key's value where it is. */
  isClaimed(key: string): boolean {
    return this.reads.has(key) || this.bigAppends.has(key);
  }

  /** Holds a value whose key is claimed, until that ends. */
  park(value: Value): void {
    this.#blocks.hold(value);
    this.#parked.add(this.#blocks.key(value));
  }

  /** Hands the hold of a parked value to the caller; answers whether there was one. */
  takeOver(key: string): boolean {
    return this.#parked.delete(key);
  }

  /** Ends a claim of this object's. @returns keys that spills may take again. */
  end(claims: Claims, claim: Claim): readonly string[] {
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
export interface Claim {
  readonly keys: readonly string[];
}

/**
 * Any number of claims of any number of keys each. To ask for a key costs the same however many
 * there are: they are counted up when that is first asked, since most come and go without.
 */
export class Claims {
  readonly #counts = new Map<string, number>();
  readonly #uncounted = new Set<Claim>();
  #size = 0;

  /** How many claims there are. */
  get size(): number {
    return this.#size;
  }

  begin(keys: readonly string[]): Claim {
    const claim = { keys };
    this.#uncounted.add(claim);
    this.#size++;
    return claim;
  }

  /** @returns keys that `has` may have been asked for, and that no claim has any longer. */
  end(claim: Claim): string[] {
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
