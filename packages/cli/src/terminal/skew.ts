import { showBytes, showCount } from "../command/quantity.js";
import { meter } from "./progress.js";

/** How bytes lie over keys: a count of keys for each power of two, in constant memory. */
export class Skew {
  count = 0;
  bytes = 0;
  largest = 0;
  /** At n: keys of 2^n to 2^(n+1) - 1 bytes; at 0 those of 0, too. */
  readonly #counts: number[] = [];

  add(bytes: number): void {
    this.count++;
    this.bytes += bytes;
    this.largest = Math.max(this.largest, bytes);
    const bucket = bytes < 2 ? 0 : Math.floor(Math.log2(bytes));
    while (this.#counts.length <= bucket) this.#counts.push(0);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  /** Buckets that hold keys, and those between. */
  get buckets(): { readonly from: number; readonly below: number; readonly keys: number }[] {
    const first = this.#counts.findIndex((keys) => keys > 0);
    return this.#counts.slice(Math.max(0, first)).map((keys, i) => {
      const power = Math.max(0, first) + i;
      return { from: power === 0 ? 0 : 2 ** power, below: 2 ** (power + 1), keys };
    });
  }

  /** The middle of the bucket in which the median lies, or the largest if that is less. */
  get median(): number {
    let seen = 0;
    for (const { from, below, keys } of this.buckets) {
      seen += keys;
      if (seen * 2 >= this.count) return Math.min(this.largest, Math.round((from + below) / 2));
    }
    return 0;
  }

  /** A line for each bucket, of at most `width` columns. */
  histogram(width: number): string[] {
    const most = Math.max(...this.buckets.map(({ keys }) => keys));
    const digits = showCount(most).length;
    const room = Math.max(8, Math.min(48, width - digits - 30));
    return this.buckets.map(({ from, below, keys }) => {
      const range = `${showBytes(from).padStart(9)} to ${showBytes(below).padStart(9)}`;
      const bar = keys === 0 ? "" : meter(Math.max(keys / most, 1 / (8 * room)), room).trimEnd();
      return `${range}  ${showCount(keys).padStart(digits)}  ${bar}`.trimEnd();
    });
  }
}
