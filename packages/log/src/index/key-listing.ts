import { Pace } from "@partd/core/author";
import type { Segment } from "../data-set/segment.js";
import { VarintReader, writeVarint } from "../format/layout.js";
import { UNKNOWN_KEY } from "../format/scan.js";
import { SpillFile } from "../read/spill-file.js";
import { type GrowingIndex, NEVER } from "./range-chains.js";
import { type KeySummary, StoredIndex } from "./stored-index.js";

/**
 * Yields all keys that hold at least one byte, each once, in the order of their hashes. It merges the
 * indexes, so memory does not grow with the number of keys.
 *
 * @param start what the keys begin with. Other keys are skipped before a string is made of them.
 */
export async function* liveKeys(
  segments: readonly Segment[],
  signal?: AbortSignal,
  start = "",
): AsyncGenerator<string[], void, undefined> {
  const sources = segments.flatMap(({ index }) => {
    if (!index) return [];
    return [index instanceof StoredIndex ? index.summaries(start) : summaries(index, start)];
  });
  yield* mergeKeys(sources, signal);
}

/**
 * Sorts keys by their bytes, in bounded memory: sorted runs lie in an unlinked file, and are merged.
 *
 * @param memory bytes of a run.
 */
export async function* sortedKeys(
  batches: AsyncIterable<readonly string[]>,
  directory: string,
  signal: AbortSignal,
  memory = RUN_BYTES,
): AsyncGenerator<string[], void, undefined> {
  const spill = new SpillFile(directory);
  const runs: Run[] = [];
  let keys: string[] = [];
  let bytes = 0;
  try {
    for await (const some of batches) {
      for (const key of some) {
        keys.push(key);
        bytes += key.length + STRING_BYTES;
      }
      if (bytes < memory) continue;
      runs.push(await Run.write(spill, keys));
      keys = [];
      bytes = 0;
    }
    // By UTF-16 units, which is byte by byte: an encoded key is ASCII.
    if (runs.length === 0) {
      keys.sort();
      for (let at = 0; at < keys.length; at += BATCH) yield keys.slice(at, at + BATCH);
      return;
    }
    if (keys.length > 0) runs.push(await Run.write(spill, keys));
    keys = [];
    await spill.settle();
    yield* mergeKeys(
      runs.map((run) => run.read(spill)),
      signal,
    );
  } finally {
    await spill.close();
  }
}

/** Flattens batches of keys. */
export async function* oneByOne(
  batches: AsyncIterable<readonly string[]>,
): AsyncGenerator<string, void, undefined> {
  for await (const some of batches) yield* some;
}

/**
 * Merges summaries of keys, each source in the order of hashes, then bytes, and yields the keys that
 * hold something.
 */
async function* mergeKeys(
  sources: readonly AsyncGenerator<KeySummary[], void, undefined>[],
  signal?: AbortSignal,
): AsyncGenerator<string[], void, undefined> {
  const cursors = sources.map((source) => new Cursor(source));
  try {
    const begun: Cursor[] = [];
    for (const cursor of cursors) {
      signal?.throwIfAborted();
      if (await cursor.open()) begun.push(cursor);
    }
    const heap = new Heap(begun);
    const pace = new Pace();
    let live: string[] = [];
    while (heap.first) {
      const { hash, key } = heap.first.head as KeySummary;
      let deleted = NEVER;
      let last = NEVER;
      for (let cursor = heap.first; cursor; ) {
        const { head } = cursor;
        if (head?.hash !== hash || head.key !== key) break;
        deleted = Math.max(deleted, head.deleted);
        last = Math.max(last, head.last);
        if (!cursor.advance()) await cursor.load();
        heap.settle();
        cursor = heap.first as Cursor;
      }
      // A record that deletes a key and sets it again has one stamp for both.
      if (last !== NEVER && last >= deleted && key !== UNKNOWN_KEY) live.push(key);
      if (live.length === BATCH) {
        yield live;
        live = [];
        signal?.throwIfAborted();
      }
      if (pace.due) await pace.rest();
    }
    if (live.length > 0) yield live;
  } finally {
    for (const cursor of cursors) await cursor.close();
  }
}

async function* summaries(
  index: GrowingIndex,
  start: string,
): AsyncGenerator<KeySummary[], void, undefined> {
  const { keys } = index;
  const { order, hashes } = index.byHash((number) => keys.startsWith(number, start));
  for (let from = 0; from < order.length; from += BATCH) {
    yield Array.from(order.subarray(from, from + BATCH), (number, i) => ({
      hash: hashes[from + i] as number,
      key: keys.text(number),
      deleted: index.deleted(number),
      last: index.last(number),
    }));
  }
}

/** A position in one source. */
class Cursor {
  readonly #batches: AsyncGenerator<KeySummary[], void, undefined>;
  #batch: KeySummary[] = [];
  #at = 0;

  constructor(batches: AsyncGenerator<KeySummary[], void, undefined>) {
    this.#batches = batches;
  }

  get head(): KeySummary | undefined {
    return this.#batch[this.#at];
  }

  open(): Promise<boolean> {
    return this.load();
  }

  /** Goes to the next key. @returns false if it has to be loaded. */
  advance(): boolean {
    this.#at++;
    return this.#at < this.#batch.length;
  }

  async load(): Promise<boolean> {
    for (;;) {
      const { value, done } = await this.#batches.next();
      this.#batch = done ? [] : (value as KeySummary[]);
      this.#at = 0;
      if (done || this.#batch.length > 0) return !done;
    }
  }

  async close(): Promise<void> {
    await this.#batches.return(undefined);
  }
}

/** A heap of cursors, the one with the least key first. */
class Heap {
  readonly #cursors: Cursor[];

  constructor(cursors: readonly Cursor[]) {
    this.#cursors = [...cursors].sort((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  get first(): Cursor | undefined {
    return this.#cursors[0];
  }

  /** Restores the order after the first cursor has advanced; removes it at its end. */
  settle(): void {
    const cursors = this.#cursors;
    if (!cursors[0]?.head) {
      const last = cursors.pop();
      if (cursors.length === 0 || !last) return;
      cursors[0] = last;
    }
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        const other = cursors[child];
        if (other && isBefore(other, cursors[least] as Cursor)) least = child;
      }
      if (least === at) return;
      [cursors[at], cursors[least]] = [cursors[least] as Cursor, cursors[at] as Cursor];
      at = least;
    }
  }
}

function isBefore({ head: one }: Cursor, { head: other }: Cursor): boolean {
  if (!one || !other) return one !== undefined;
  return one.hash === other.hash ? one.key < other.key : one.hash < other.hash;
}

/** A run of sorted keys in a file. All have one hash, so that a merge is by bytes. */
class Run {
  readonly #chunks: { readonly position: number; readonly length: number }[] = [];

  static async write(spill: SpillFile, keys: string[]): Promise<Run> {
    const run = new Run();
    keys.sort();
    let chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    let at = 0;
    const end = async () => {
      const position = await spill.write([chunk.subarray(0, at)], at);
      run.#chunks.push({ position, length: at });
      at = 0;
    };
    for (const key of keys) {
      if (at + key.length + 10 > chunk.length) {
        if (at > 0) await end();
        if (key.length + 10 > chunk.length) chunk = Buffer.allocUnsafeSlow(key.length + 10);
      }
      at = writeVarint(chunk, at, key.length);
      at += chunk.write(key, at, "latin1");
    }
    if (at > 0) await end();
    return run;
  }

  async *read(spill: SpillFile): AsyncGenerator<KeySummary[], void, undefined> {
    for (const { position, length } of this.#chunks) {
      const chunk = Buffer.allocUnsafeSlow(length);
      await spill.read(position, chunk);
      const reader = new VarintReader(chunk);
      const some: KeySummary[] = [];
      while (reader.at < chunk.length) {
        const keyLength = reader.next();
        const key = chunk.toString("latin1", reader.at, reader.at + keyLength);
        reader.at += keyLength;
        some.push({ hash: 0, key, deleted: 0, last: 0 });
      }
      yield some;
    }
  }
}

const RUN_BYTES = 16 * 2 ** 20;
/** Bytes of a string in memory, besides its characters. */
const STRING_BYTES = 32;
const CHUNK_BYTES = 32 * 1024;
/** Keys that are yielded at once. */
const BATCH = 1024;
