import { Pace } from "../async/pace.js";
import { Blocks } from "../memory/blocks.js";
import { memoryFor } from "../memory/bytes.js";
import { BaseStore } from "./base-store.js";
import type { Batch } from "./batch.js";
import type { AppendOptions, GetOptions } from "./store.js";

/**
 * A store in memory. It copies values unless they are given away (`owned`), and gathers small
 * appends into large blocks.
 */
export class Dict extends BaseStore {
  /** Where the values lie. `BufferStore` spills the largest straight from this memory. */
  readonly blocks = new Blocks();

  /** Bytes of all values together. */
  get byteLength(): number {
    return this.blocks.byteLength;
  }

  /** Bytes of memory held for values, room for growth and freed room included. */
  get memory(): number {
    return this.blocks.memory;
  }

  protected async _append(batch: Batch, { owned }: AppendOptions = {}): Promise<void> {
    this.blocks.append(batch, owned);
  }

  protected async _get(keys: readonly string[], options: GetOptions = {}): Promise<Uint8Array[]> {
    // Fix the lengths first: what is appended during a rest belongs to a later answer.
    const values = keys.map((key) => this.blocks.get(key));
    const lengths = values.map((value) => (value === undefined ? 0 : this.blocks.length(value)));
    const pace = new Pace();
    const rest = async () => {
      await pace.rest();
      options.signal?.throwIfAborted();
    };
    const copies: Uint8Array[] = [];
    for (let i = 0; i < keys.length; i++) {
      const copy = memoryFor(lengths[i] as number, options);
      const value = values[i];
      if (value === undefined || copy.byteLength <= COPIED_AT_ONCE) {
        if (value !== undefined) this.blocks.copyTo(value, copy, 0, copy.byteLength);
        if (pace.isOver) await rest();
      } else {
        let at = 0;
        for (const slice of slices(this.blocks.views(value, copy.byteLength))) {
          copy.set(slice, at);
          at += slice.length;
          if (pace.isOver) await rest();
        }
      }
      copies.push(copy);
    }
    return copies;
  }

  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    const value = this.blocks.get(key);
    if (value === undefined) return [];
    const loan = this.blocks.lend(value);
    return (function* () {
      try {
        yield* loan;
      } finally {
        loan.end();
      }
    })();
  }

  /** In one step: the value might be changed between the removal and the addition. */
  protected override async _set(
    key: string,
    value: Uint8Array,
    _options: AppendOptions,
  ): Promise<void> {
    this.blocks.remove(key);
    const { length: byteLength } = value;
    if (byteLength > 0) this.blocks.append({ keys: [key], values: [value], byteLength });
  }

  protected async _delete(keys: readonly string[]): Promise<void> {
    const pace = new Pace();
    for (const key of keys) {
      this.blocks.remove(key);
      if (pace.due) await pace.rest();
    }
  }

  protected async _keys(): Promise<Iterable<string>> {
    return [...this.blocks.keys()];
  }

  protected override async _count(): Promise<number> {
    return this.blocks.size;
  }

  protected override async _sizes(keys: readonly string[]): Promise<number[]> {
    return keys.map((key) => {
      const value = this.blocks.get(key);
      return value === undefined ? 0 : this.blocks.length(value);
    });
  }

  protected override _drop(): Promise<void> {
    return this._delete([...this.blocks.keys()]);
  }

  protected override async _close(): Promise<void> {
    this.blocks.clear();
  }
}

/** Cuts long views into parts that are copied in a millisecond or two. */
function* slices(views: readonly Uint8Array[]): Generator<Uint8Array, void, undefined> {
  for (const view of views) {
    for (let at = 0; at < view.length; at += COPIED_AT_ONCE) {
      yield view.subarray(at, at + COPIED_AT_ONCE);
    }
  }
}

/** In bytes. A get of 200 MB in one go blocked the event loop for 200 ms. */
const COPIED_AT_ONCE = 2 ** 22;
