import { Arena, Chain } from "./arena.js";
import { BaseStore } from "./base-store.js";
import type { Batch } from "./batch.js";
import { allocateBytes } from "./bytes.js";
import { Pace } from "./pace.js";

/** A store in memory. It copies what it is given, and gathers small appends into large blocks. */
export class Dict extends BaseStore {
  readonly #arena = new Arena();
  readonly #values = new Map<string, Value>();
  #byteLength = 0;

  /** Bytes of all values together. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Bytes of memory held for values, room for growth and freed room included. */
  get memory(): number {
    return this.#arena.memory;
  }

  protected async _append(batch: Batch): Promise<void> {
    let done = 0;
    try {
      for (; done < batch.keys.length; done++) {
        this.#arena.append(
          this.#valueToGrow(batch.keys[done] as string),
          batch.values[done] as Uint8Array,
        );
      }
    } catch (error) {
      this.#shrink(batch.keys[done] as string, 0);
      while (done-- > 0) {
        this.#shrink(batch.keys[done] as string, (batch.values[done] as Uint8Array).byteLength);
      }
      throw error;
    }
    this.#byteLength += batch.byteLength;
  }

  protected async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    // The lengths first: what is appended while we rest belongs to a later answer.
    const values = keys.map((key) => this.#values.get(key));
    const lengths = values.map((value) => value?.length ?? 0);
    const pace = new Pace();
    const copies: Uint8Array[] = [];
    for (const [i, value] of values.entries()) {
      const copy = allocateBytes(lengths[i] as number);
      if (value) this.#arena.copyTo(value, copy);
      copies.push(copy);
      if (pace.due) await pace.rest();
    }
    return copies;
  }

  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    const value = this.#values.get(key);
    return value ? this.#pieces(value) : [];
  }

  protected async _delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#remove(key);
  }

  protected async _keys(): Promise<Iterable<string>> {
    return [...this.#values.keys()];
  }

  protected override async _drop(): Promise<void> {
    for (const key of [...this.#values.keys()]) this.#remove(key);
  }

  protected override async _close(): Promise<void> {
    await this._drop();
  }

  #valueToGrow(key: string): Value {
    let value = this.#values.get(key);
    if (!value) {
      value = new Value();
      this.#values.set(key, value);
    }
    return value;
  }

  #shrink(key: string, byteLength: number): void {
    const value = this.#values.get(key) as Value;
    this.#arena.truncate(value, value.length - byteLength);
    if (value.length === 0) this.#values.delete(key);
  }

  #remove(key: string): void {
    const value = this.#values.get(key);
    if (!value) return;
    this.#values.delete(key);
    this.#byteLength -= value.length;
    value.removed = true;
    if (value.readers === 0) this.#arena.truncate(value, 0);
  }

  /** A removed value's memory is kept until its last reader is done. */
  #pieces(value: Value): Iterable<Uint8Array> {
    const arena = this.#arena;
    const length = value.length;
    value.readers++;
    return (function* () {
      try {
        for (const view of arena.views(value, length)) yield view.slice();
      } finally {
        if (--value.readers === 0 && value.removed) arena.truncate(value, 0);
      }
    })();
  }
}

class Value extends Chain {
  /** Streams under way. */
  readers = 0;
  removed = false;
}
