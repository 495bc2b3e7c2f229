import type { Cover } from "../format/cover.js";
import type { Tail } from "../format/tail.js";
import type { Segment } from "./segment.js";

/** What the removing segments of a data set remove from the others. */
export class Removals {
  /** The segments added here. */
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

  /** Whether everything in the segment is removed. */
  isAllRemoved(segment: Segment): boolean {
    return this.#clears.some((cover) => cover.has(segment));
  }

  /** Whether the segment's value of the key is removed. */
  isRemoved(segment: Segment, key: string): boolean {
    return this.#byKey.get(key)?.some((cover) => cover.has(segment)) ?? false;
  }
}
