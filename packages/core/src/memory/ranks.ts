/**
 * Ranks numbered values by length: one linked list for each quarter of a power of two, so the
 * largest value (to within a fifth) is found at once. A growing value changes lists four times
 * while its length doubles, at a few assignments each.
 */
export class Ranks {
  readonly #first = new Int32Array(RANKS).fill(NO_ONE);
  readonly #last = new Int32Array(RANKS).fill(NO_ONE);
  #rank = new Int32Array(0);
  #previous = new Int32Array(0);
  #next = new Int32Array(0);

  /** Whether the value is in a list. */
  has(number: number): boolean {
    return this.#rank[number] !== UNRANKED;
  }

  /** Registers a value, in no list yet. */
  add(number: number): void {
    if (number >= this.#rank.length) this.#grow(Math.max(64, 2 * number));
    this.#rank[number] = UNRANKED;
  }

  /** Puts a value that is in no list into the one for its length. */
  place(number: number, length: number): void {
    const rank = rankOf(length);
    const last = this.#last[rank] as number;
    this.#rank[number] = rank;
    this.#previous[number] = last;
    this.#next[number] = NO_ONE;
    if (last === NO_ONE) this.#first[rank] = number;
    else this.#next[last] = number;
    this.#last[rank] = number;
  }

  /** Moves a value to another list if it is in one and its new length demands that. */
  update(number: number, length: number): void {
    const rank = this.#rank[number];
    if (rank === rankOf(length) || rank === UNRANKED) return;
    this.remove(number);
    this.place(number, length);
  }

  /** Takes the value out of its list. */
  remove(number: number): void {
    const rank = this.#rank[number] as number;
    if (rank === UNRANKED) return;
    const previous = this.#previous[number] as number;
    const next = this.#next[number] as number;
    if (previous === NO_ONE) this.#first[rank] = next;
    else this.#next[previous] = next;
    if (next === NO_ONE) this.#last[rank] = previous;
    else this.#previous[next] = previous;
    this.#rank[number] = UNRANKED;
  }

  /** The values, largest first. The one that was yielded last may be removed meanwhile. */
  *largest(): Generator<number, void, undefined> {
    for (let rank = RANKS - 1; rank >= 0; rank--) {
      for (let number = this.#first[rank] as number; number !== NO_ONE; ) {
        const next = this.#next[number] as number;
        yield number;
        number = next;
      }
    }
  }

  /** Gives all memory back. There must be no value in any list. */
  reset(): void {
    this.#grow(0);
  }

  #grow(capacity: number): void {
    this.#rank = resized(this.#rank, capacity);
    this.#previous = resized(this.#previous, capacity);
    this.#next = resized(this.#next, capacity);
  }
}

const UNRANKED = -1;
const NO_ONE = -1;
const RANKS = 31 * 4;

/** How far a value of this length may grow before it changes lists, or less. */
export function toNextRank(length: number): number {
  if (length < 4 || length > 0x3fffffff) return 1;
  const quarter = 1 << (29 - Math.clz32(length));
  return quarter - (length & (quarter - 1));
}

/** The power of two below `length`, and which quarter of the way to the next one it has come. */
function rankOf(length: number): number {
  const bounded = Math.min(length, 0x7fffffff);
  const power = 31 - Math.clz32(bounded);
  return (power << 2) | (((bounded << 2) >>> power) & 3);
}

function resized(numbers: Int32Array, capacity: number): Int32Array<ArrayBuffer> {
  const more = new Int32Array(capacity);
  more.set(numbers.subarray(0, capacity));
  return more;
}
