import { VarintReader, writeVarint } from "../format/layout.js";
import { SpillFile } from "../read/spill-file.js";
import { mergeKeys } from "./live-keys.js";
import type { KeySummary } from "./stored-index.js";

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

/** A run of sorted keys in a file. */
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
const BATCH = 1024;
