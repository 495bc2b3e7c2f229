import { Arena, Chain, NONE } from "./arena.js";
import type { Batch } from "./batch.js";
import { allocateBytes } from "./bytes.js";
import { Ranks, rankOf, UNRANKED } from "./ranks.js";

/**
 * A store whose values lie in {@link Blocks}, so that another one which owns it, as `BufferStore`
 * does, can write its largest values elsewhere: straight from the memory they lie in, a part at a
 * time, and while more is appended to them.
 */
export interface Spillable {
  readonly blocks: Blocks;
}

/** Whether `store` can be spilled from. Knows stores of another copy of this package as well. */
export function isSpillable<S extends object>(store: S): store is S & Spillable {
  return "blocks" in store && typeof (store.blocks as Blocks).hold === "function";
}

/**
 * Values in memory, by encoded key: what `Dict` is made of. Everything here is done at once, so
 * there are no half-done appends to see. Small appends become bytes in large blocks, and the
 * values are at all times in order of size.
 */
export class Blocks {
  readonly #arena = new Arena();
  readonly #values = new Map<string, Value>();
  readonly #ranks = new Ranks<Value>();
  /** Those of keys that are gone, to be used again. */
  #spare: Value[] = [];
  #byteLength = 0;
  #bookkeeping = 0;
  #lent = 0;

  /** How many keys there are. Each holds at least one byte. */
  get size(): number {
    return this.#values.size;
  }

  /** Bytes of all values together. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Bytes of memory taken from the system for values: in use, or free to be used again. */
  get memory(): number {
    return this.#arena.memory;
  }

  /**
   * Bytes of memory in use: blocks, with the room left in them, and what it costs to know each key
   * (an estimate). Not counted is what is kept only for streams that were opened before it was cut.
   */
  get footprint(): number {
    return this.#arena.used - this.#lent + this.#bookkeeping;
  }

  /** Bytes by which the footprint may grow with `batch`, at most a quarter of each value aside. */
  cost(batch: Batch): number {
    let cost = batch.byteLength;
    for (const key of batch.keys) if (!this.#values.has(key)) cost += keyCost(key);
    return cost;
  }

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  values(): IterableIterator<Value> {
    return this.#values.values();
  }

  /** Values that are not held, the largest first (to within a fifth). */
  largest(): Generator<Value, void, undefined> {
    return this.#ranks.largest();
  }

  /** Adds the whole batch, or throws and adds none of it. */
  append({ keys, values }: Batch): void {
    let done = 0;
    try {
      for (; done < keys.length; done++) {
        this.#grow(keys[done] as string, values[done] as Uint8Array);
      }
    } catch (error) {
      while (done-- > 0) {
        this.#shrink(keys[done] as string, (values[done] as Uint8Array).byteLength);
      }
      throw error;
    }
  }

  /** The first `length` bytes of a value, where they lie: valid until they are cut or removed. */
  views(value: Value, length = value.length): Generator<Uint8Array, void, undefined> {
    return this.#arena.views(value, length);
  }

  /** Copies the first `length` bytes of a value into `target` from `offset` on. */
  copyTo(value: Value, target: Uint8Array, offset = 0, length = value.length): void {
    this.#arena.copyTo(value, target, offset, length);
  }

  copy(value: Value, length = value.length): Uint8Array {
    const bytes = allocateBytes(length);
    this.#arena.copyTo(value, bytes, 0, length);
    return bytes;
  }

  /** Fixes a value as it stands: its memory is kept, whatever is cut or removed, until `end`. */
  lend(value: Value): Loan {
    const arena = this.#arena;
    const views = [...arena.views(value)];
    value.loans ??= new Loans();
    const { loans } = value;
    loans.count++;
    let ended = false;
    return {
      *[Symbol.iterator]() {
        for (const view of views) yield view.slice();
      },
      end: () => {
        if (ended) return;
        ended = true;
        if (--loans.count > 0) return;
        if (value.loans === loans) value.loans = undefined;
        for (const extent of loans.kept) this.#lent -= arena.release(extent);
      },
    };
  }

  /** Keeps a value out of `largest` until some of it is cut or it is let go. */
  hold(value: Value): void {
    this.#ranks.remove(value);
  }

  isHeld(value: Value): boolean {
    return value.rank === UNRANKED;
  }

  /** Ends a hold. */
  letGo(value: Value): void {
    this.#ranks.place(value);
  }

  /** Removes the first `length` bytes of a value that is held, and ends the hold. */
  cut(value: Value, length: number): void {
    this.#free(value, length);
    if (value.length === 0) this.#forget(value);
    else this.#ranks.place(value);
  }

  remove(key: string): void {
    const value = this.#values.get(key);
    if (!value) return;
    if (value.rank !== UNRANKED) this.#ranks.remove(value);
    this.#free(value, value.length);
    this.#forget(value);
  }

  clear(): void {
    for (const key of [...this.#values.keys()]) this.remove(key);
  }

  #grow(key: string, bytes: Uint8Array): void {
    const value = this.#values.get(key);
    if (value) {
      this.#arena.append(value, bytes);
      this.#byteLength += bytes.byteLength;
      this.#rank(value);
    } else {
      this.#add(key, bytes);
    }
  }

  #add(key: string, bytes: Uint8Array): void {
    const value = this.#spare.pop() ?? new Value();
    value.key = key;
    this.#arena.append(value, bytes);
    this.#values.set(key, value);
    this.#byteLength += bytes.byteLength;
    this.#bookkeeping += keyCost(key);
    this.#ranks.place(value);
  }

  #shrink(key: string, byteLength: number): void {
    const value = this.#values.get(key) as Value;
    this.#arena.truncate(value, value.length - byteLength);
    this.#byteLength -= byteLength;
    if (value.length > 0) {
      this.#rank(value);
    } else {
      if (value.rank !== UNRANKED) this.#ranks.remove(value);
      this.#forget(value);
    }
  }

  #rank(value: Value): void {
    if (value.rank === UNRANKED || value.rank === rankOf(value.length)) return;
    this.#ranks.remove(value);
    this.#ranks.place(value);
  }

  #free(value: Value, length: number): void {
    this.#byteLength -= length;
    value.cut += length;
    const extent = this.#arena.cut(value, length);
    if (extent === NONE) return;
    if (!value.loans) {
      this.#arena.release(extent);
      return;
    }
    value.loans.kept.push(extent);
    this.#lent += this.#arena.measure(extent);
  }

  #forget(value: Value): void {
    this.#values.delete(value.key);
    this.#bookkeeping -= keyCost(value.key);
    value.key = "";
    value.loans = undefined;
    if (this.#values.size === 0) this.#spare = [];
    else this.#spare.push(value);
  }
}

/**
 * A value of {@link Blocks}. Once it has no bytes any more it may be that of another key: objects
 * that came and went with their keys would, until they are collected, take several times the memory.
 */
export class Value extends Chain {
  key = "";
  /** Bytes that were ever cut off its front: it never falls. `cut + length` is what it will be. */
  cut = 0;
  rank = UNRANKED;
  previous: Value | undefined = undefined;
  next: Value | undefined = undefined;
  loans: Loans | undefined = undefined;
}

/** A value as it stood at one moment, in pieces that are the reader's own. */
export interface Loan extends Iterable<Uint8Array> {
  end(): void;
}

class Loans {
  count = 0;
  /** Extents that were cut off meanwhile: the first of each run. */
  readonly kept: number[] = [];
}

/**
 * What a key takes beyond its bytes and text: 200 bytes for its `Value` and its place in the map
 * (Node 20, a million keys), and more than three times over: as keys come and go the collector lets
 * its heap grow to about three times what is alive, or four where the machine is busy. With 200 here, a buffer of 200 MB grew to 570 MB.
 */
const KEY_BYTES = 720;

function keyCost(key: string): number {
  return KEY_BYTES + key.length;
}
