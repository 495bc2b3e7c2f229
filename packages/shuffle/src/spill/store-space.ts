import type { Store } from "@partd/core";
import { PartdError, tuple } from "@partd/core";
import type { Block } from "./block.js";
import type { Tape, TapeSpace } from "./tape.js";

/**
 * Tapes in a store of the user's choice. Each tape is a key to which blocks are appended. The keys are
 * unique to the run, so several runs may share a store.
 */
export class StoreSpace implements TapeSpace {
  readonly #store: Store;
  readonly #run: string;
  readonly #names = new Set<string>();
  #next = 0;

  constructor(store: Store) {
    this.#store = store;
    this.#run = crypto.randomUUID();
  }

  tape(): Tape {
    const name = String(this.#next++);
    const key = tuple("partd-shuffle", this.#run, name);
    const store = this.#store;
    const names = this.#names;
    let position = 0;
    let reading: BlockStream | undefined;
    return {
      async append(blocks) {
        names.add(name);
        await store.append(blocks.map(({ bytes }) => [key, bytes] as const));
      },
      async read(from, into) {
        if (!reading || from < position) {
          await reading?.close();
          reading = new BlockStream(store.stream(key));
          position = 0;
        }
        while (position < from) {
          await reading.fill(into[0]!);
          position++;
        }
        for (const block of into) {
          await reading.fill(block);
          position++;
        }
      },
      async discard() {
        await reading?.close();
        reading = undefined;
        if (names.delete(name)) await store.delete(key);
      },
    };
  }

  async close(): Promise<void> {
    const keys = [...this.#names].map((name) => tuple("partd-shuffle", this.#run, name));
    this.#names.clear();
    if (keys.length > 0) await this.#store.delete(keys);
  }
}

/** Reads a value in blocks; the store yields it in pieces of any length. */
class BlockStream {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  async fill(block: Block): Promise<void> {
    let filled = 0;
    while (filled < block.bytes.length) {
      if (this.#piece.length === 0) {
        const { value, done } = await this.#pieces.next();
        if (done) {
          throw new PartdError(
            "ERR_PARTD_CORRUPT",
            "The store holds fewer bytes than were spilled to it: keep others from changing it during a run.",
          );
        }
        this.#piece = value;
        continue;
      }
      const part = this.#piece.subarray(0, block.bytes.length - filled);
      block.bytes.set(part, filled);
      filled += part.length;
      this.#piece = this.#piece.subarray(part.length);
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}
