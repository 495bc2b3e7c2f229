/** What {@link Ranks} orders. */
export interface Ranked<T> {
  /** What it is ordered by; `place` again where this has changed. */
  readonly length: number;
  rank: number;
  previous: T | undefined;
  next: T | undefined;
}

/** The rank of what is in no list. */
export const UNRANKED = -1;

/**
 * Lists by length, each for a quarter of a power of two, so that the largest items (to within a
 * fifth) are found at once however many there are. An item that grows changes lists four times
 * while its length doubles, and each time costs a few assignments.
 */
export class Ranks<T extends Ranked<T>> {
  readonly #first: (T | undefined)[] = new Array(RANKS).fill(undefined);
  readonly #last: (T | undefined)[] = new Array(RANKS).fill(undefined);

  /** Puts the item, which is in no list, into the one for its length. */
  place(item: T): void {
    const rank = rankOf(item.length);
    const last = this.#last[rank];
    item.rank = rank;
    item.previous = last;
    if (last) last.next = item;
    else this.#first[rank] = item;
    this.#last[rank] = item;
  }

  /** Takes the item out of its list. */
  remove(item: T): void {
    const { rank, previous, next } = item;
    if (previous) previous.next = next;
    else this.#first[rank] = next;
    if (next) next.previous = previous;
    else this.#last[rank] = previous;
    item.rank = UNRANKED;
    item.previous = undefined;
    item.next = undefined;
  }

  /** The items, largest first. The one that was yielded last may be removed meanwhile. */
  *largest(): Generator<T, void, undefined> {
    for (let rank = RANKS - 1; rank >= 0; rank--) {
      for (let item = this.#first[rank]; item; ) {
        const next: T | undefined = item.next;
        yield item;
        item = next;
      }
    }
  }
}

/** The power of two below `length`, and which quarter of the way to the next one it has come. */
export function rankOf(length: number): number {
  const bounded = Math.min(length, 0x7fffffff);
  const power = 31 - Math.clz32(bounded);
  return (power << 2) | (((bounded << 2) >>> power) & 3);
}

const RANKS = 31 * 4;
