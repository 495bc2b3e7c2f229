import type { Blocks, Value } from "@partd/core/memory";
import { type Claim, Claims } from "./claims.js";

/** What keeps values from taking off, or from being read. */
export class Holds {
  /** Keys that are being read. */
  readonly reads = new Claims();
  /** Keys of big appends, those that wait included. */
  readonly bigs = new Claims();
  /** Keys of flights that carry more than what is in memory. */
  readonly bigFlights = new Claims();
  /** Claimed keys whose values are held, so that they are not looked at again and again. */
  readonly #parked = new Set<string>();
  readonly #blocks: Blocks;

  constructor(blocks: Blocks) {
    this.#blocks = blocks;
  }

  isFlying(key: string): boolean {
    const value = this.#blocks.get(key);
    if (value !== undefined && this.#blocks.isHeld(value) && !this.#parked.has(key)) return true;
    return this.bigFlights.size > 0 && this.bigFlights.has(key);
  }

  /** Whether one of the keys is being read or flying. */
  areBusy(keys: readonly string[]): boolean {
    return keys.some((key) => this.isFlying(key) || this.reads.has(key));
  }

  isClaimed(key: string): boolean {
    return (
      (this.reads.size > 0 && this.reads.has(key)) || (this.bigs.size > 0 && this.bigs.has(key))
    );
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

  /** Ends a claim; calls `freed` with keys that are claimed no longer. */
  leave(claims: Claims, claim: Claim, freed: (key: string) => void): void {
    claims.leave(claim, (key) => {
      if (this.isClaimed(key)) return;
      if (this.#parked.delete(key)) {
        const value = this.#blocks.get(key);
        if (value !== undefined && this.#blocks.isHeld(value)) this.#blocks.letGo(value);
      }
      freed(key);
    });
  }
}
