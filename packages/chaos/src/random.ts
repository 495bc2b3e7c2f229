/** Numbers that a seed decides, whatever the runtime: mulberry32, by Tommy Ettinger (public domain). */
export class Random {
  #state: number;

  /** @param seed any text, such as `"7 p0a"`. */
  constructor(seed: string) {
    this.#state = 2166136261;
    for (let i = 0; i < seed.length; i++) {
      this.#state = Math.imul(this.#state ^ seed.charCodeAt(i), 16777619);
    }
  }

  /** From 0 up to, but not including, 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From `least` up to, but not including, `end`. */
  integer(least: number, end: number): number {
    return least + Math.floor(this.fraction() * (end - least));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length)] as T;
  }

  some<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    return Array.from({ length: Math.min(count, rest.length) }, () => {
      const [one] = rest.splice(this.integer(0, rest.length), 1);
      return one as T;
    });
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }
}
