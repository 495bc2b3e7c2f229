import type { Key } from "@partd/core";
import type { Action } from "../command/command.js";
import { showBytes, showCount } from "../command/quantity.js";
import { meter } from "../terminal/progress.js";
import type { Terminal } from "../terminal/terminal.js";
import { openDataSet } from "./data-set.js";
import { jsonKey, showKey } from "./key-text.js";

/** `partd stat`. */
export const stat: Action = async (call) => {
  const { options, terminal, signal } = call;
  await using dataSet = await openDataSet(call);
  const skew = new Skew();
  const largest = new Largest(options.number("top") ?? 10);
  {
    using progress = terminal.progress("reading");
    for await (const { key, bytes } of dataSet.sizes(signal)) {
      skew.add(bytes);
      largest.add(key, bytes);
      progress.show({ bytesDone: skew.bytes, records: skew.count });
    }
  }
  const kind = KINDS[dataSet.kind];
  if (terminal.json) {
    const { count: keys, bytes, buckets } = skew;
    const top = largest.all.map(({ key, bytes }) => ({ key: jsonKey(key), bytes }));
    await terminal.line(
      JSON.stringify({ kind, place: dataSet.place, keys, bytes, buckets, largest: top }),
    );
    return undefined;
  }
  await terminal.line(`${terminal.bold(kind)} ${dataSet.place}`);
  await terminal.line(
    `${showCount(skew.count)} ${skew.count === 1 ? "key" : "keys"}, ${showBytes(skew.bytes)}${spread(skew)}`,
  );
  if (skew.count === 0) return undefined;
  await terminal.line("");
  await terminal.line("Keys by bytes:");
  for (const line of skew.histogram(terminal.width)) await terminal.line(line);
  await terminal.line("");
  await terminal.line(`The largest ${largest.all.length === 1 ? "key" : "keys"}:`);
  await writeLargest(largest, skew.bytes, terminal);
  return undefined;
};

const KINDS = { file: "FileStore", log: "LogStore", server: "Server" };

/** The largest keys, in descending order. */
class Largest {
  readonly all: { readonly key: Key; readonly bytes: number }[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(key: Key, bytes: number): void {
    const last = this.all.at(-1);
    if (this.all.length === this.#most && last !== undefined && bytes <= last.bytes) return;
    const place = this.all.findIndex((other) => other.bytes < bytes);
    this.all.splice(place < 0 ? this.all.length : place, 0, { key, bytes });
    if (this.all.length > this.#most) this.all.pop();
  }
}

async function writeLargest(largest: Largest, total: number, terminal: Terminal): Promise<void> {
  for (const { key, bytes } of largest.all) {
    const share = total === 0 ? 0 : (100 * bytes) / total;
    const name = showKey(key);
    const room = terminal.width - 22;
    const shown = name.length > room ? `${name.slice(0, room - 1)}…` : name;
    await terminal.line(
      `${showBytes(bytes).padStart(10)} ${`${share.toFixed(1)}%`.padStart(7)}  ${shown}`,
    );
  }
}

function spread({ count, bytes, median, largest }: Skew): string {
  if (count === 0) return "";
  const mean = bytes / count;
  const ratio = mean > 0 ? `, ${(largest / mean).toFixed(1)} times the mean` : "";
  return `; a key has ${showBytes(Math.round(mean))} in the mean, ${showBytes(median)} in the middle, at most ${showBytes(largest)}${ratio}`;
}

/**
 * How many sizes are kept for the median. One time in three, it is off by more than 0.2 % of the ranks.
 */
const SAMPLE = 1 << 16;

/** The distribution of sizes: a count of keys for each power of two, in constant memory. */
class Skew {
  count = 0;
  bytes = 0;
  largest = 0;
  /** At n: keys of 2^n to 2^(n+1) - 1 bytes. At 0 also keys of 0 bytes. */
  readonly #counts: number[] = [];
  /** A random sample of sizes, all with the same chance (reservoir sampling, Vitter's algorithm R). */
  readonly #sample: number[] = [];

  add(bytes: number): void {
    this.count++;
    this.bytes += bytes;
    this.largest = Math.max(this.largest, bytes);
    if (this.#sample.length < SAMPLE) this.#sample.push(bytes);
    else {
      const at = Math.floor(Math.random() * this.count);
      if (at < SAMPLE) this.#sample[at] = bytes;
    }
    const bucket = bytes < 2 ? 0 : Math.floor(Math.log2(bytes));
    while (this.#counts.length <= bucket) this.#counts.push(0);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  /** The buckets that hold keys, and those in between. */
  get buckets(): { readonly from: number; readonly below: number; readonly keys: number }[] {
    const first = this.#counts.findIndex((keys) => keys > 0);
    return this.#counts.slice(Math.max(0, first)).map((keys, i) => {
      const power = Math.max(0, first) + i;
      return { from: power === 0 ? 0 : 2 ** power, below: 2 ** (power + 1), keys };
    });
  }

  /** The median size; of a random sample if there are many keys. */
  get median(): number {
    const sizes = Float64Array.from(this.#sample).sort();
    const upper = sizes[sizes.length >> 1] ?? 0;
    const lower = sizes[(sizes.length - 1) >> 1] ?? 0;
    return Math.round((lower + upper) / 2);
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
