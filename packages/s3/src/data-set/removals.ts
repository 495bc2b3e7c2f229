import type { Cover } from "../format/cover.js";
import type { Tail } from "../format/tail.js";
import type { Segment } from "./segment.js";

/** What the segments of a data set remove, of those that lie there. */
export class Removals {
  /** Segments that were added, in no order. */
  readonly #segments = new Set<Segment>();
  readonly #clears: Cover[] = [];
  readonly #byKey = new Map<string, Cover[]>();

  has(segment: Segment): boolean {
    return this.#segments.has(segment);
  }

  get count(): number {
    return this.#segments.size;
  }

  add(segment: Segment, tail: Tail): void {
    this.#segments.add(segment);
    if (segment.kind === "clear") {
      this.#clears.push(tail.cover);
      return;
    }
    for (const entries = tail.entries(); entries.advance(); ) {
      if (!entries.removes) continue;
      const covers = this.#byKey.get(entries.key);
      if (covers) covers.push(tail.cover);
      else this.#byKey.set(entries.key, [tail.cover]);
    }
  }

  /** Whether all that the segment holds is removed. */
  removeAll(segment: Segment): boolean {
    return this.#clears.some((cover) => cover.has(segment));
  }

  /** Whether what the segment holds of the key is removed. */
  remove(segment: Segment, key: string): boolean {
    return this.#byKey.get(key)?.some((cover) => cover.has(segment)) ?? false;
  }
}
