import { KeyTable, NONE } from "./key-table.js";
import { RangeChains } from "./range-chains.js";

/** The index of a segment that is being written or was read through, in memory. */
export class GrowingIndex extends RangeChains {
  readonly keys = new KeyTable();
  /** The numbers in `keys` of the segment's own key numbers, where they were read. */
  readonly locals: number[] = [];

  override get memory(): number {
    return super.memory + this.keys.memory + 8 * this.locals.length;
  }

  /** The numbers of the keys that have ranges or deletions in the segment. */
  *numbers(): Generator<number, void, undefined> {
    for (let key = 0; key < this.keyEnd; key++) if (this.has(key)) yield key;
  }

  /** The key's number, or {@link NONE}. */
  find(text: string): number {
    const number = this.keys.find(text);
    return number !== NONE && number < this.keyEnd ? number : NONE;
  }
}
