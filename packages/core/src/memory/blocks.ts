import type { Batch } from "../store/batch.js";
import { Arena } from "./arena.js";
import { allocateBytes } from "./bytes.js";
import { Chains } from "./chains.js";
import { ABSENT, KeyTable } from "./key-table.js";
import { Ranks, toNextRank } from "./ranks.js";
import { NONE } from "./slab.js";

/**
 * The values of a store in memory, by encoded key. All methods are synchronous, so no half-done
 * append is visible. Small appends become bytes in large blocks, and the values are always ranked
 * by size.
 */
export class Blocks {
  readonly #arena = new Arena();
  readonly #keys = new KeyTable();
  readonly #chains = new Chains(this.#arena);
  readonly #ranks = new Ranks();
  /**
   * Bytes cut off each value so far, counted from the total appended when the value was created.
   */
  #cuts: number[] = [];
  readonly #loans = new Map<Value, Loans>();
  #byteLength = 0;
  #appended = 0;
  #bookkeeping = 0;
  #lent = 0;

  /** How many keys there are. Each holds at least one byte. */
  get size(): number {
    return this.#keys.size;
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
   * Bytes of memory in use: blocks, including the room left in them, and an estimate of the cost of
   * each key. Extents that only older streams still read are not counted.
   */
  get footprint(): number {
    return this.#arena.used - this.#lent + this.#bookkeeping;
  }

  /**
   * Bytes by which the footprint may grow with `batch`, apart from up to a quarter of each value.
   */
  cost(batch: Batch): number {
    let cost = batch.byteLength;
    for (const key of batch.keys) if (this.#keys.find(key) === ABSENT) cost += keyCost(key);
    return cost;
  }

  get(key: string): Value | undefined {
    const value = this.#keys.find(key);
    return value === ABSENT ? undefined : value;
  }

  /** How many bytes a value has. */
  length(value: Value): number {
    return this.#chains.length(value);
  }

  key(value: Value): string {
    return this.#keys.key(value);
  }

  /**
   * A count that grows by each byte that is cut off a value. Once it reaches the present
   * `cutCount(value) + length(value)`, all present bytes of the value are gone.
   */
  cutCount(value: Value): number {
    return this.#cuts[value] ?? Number.POSITIVE_INFINITY;
  }

  *keys(): Generator<string, void, undefined> {
    for (const value of this.#keys.numbers()) yield this.#keys.key(value);
  }

  values(): Generator<Value, void, undefined> {
    return this.#keys.numbers();
  }

  /** Values that are not held, the largest first (to within a fifth). */
  largest(): Generator<Value, void, undefined> {
    return this.#ranks.largest();
  }

  /**
   * Adds the whole batch, or throws and adds none of it.
   *
   * @param owned whether the values are given away: large ones may be kept as they are.
   */
  append({ keys, values }: Batch, owned = false): void {
    let done = 0;
    let byteLength = 0;
    try {
      for (; done < keys.length; done++) {
        const key = keys[done] as string;
        const bytes = values[done] as Uint8Array;
        const value = this.#keys.find(key);
        if (value === ABSENT) this.#add(key, bytes, owned);
        else if (!this.#chains.add(value, bytes)) this.#grow(value, bytes, owned);
        byteLength += bytes.length; // Not `byteLength`: that takes 7 ns, a tenth of an append.
      }
    } catch (error) {
      while (done-- > 0) {
        this.#shrink(keys[done] as string, (values[done] as Uint8Array).length);
      }
      throw error;
    }
    // Add once for the whole batch: an addition for each key would take a sixth of the run time.
    this.#byteLength += byteLength;
    this.#appended += byteLength;
  }

  /**
   * Views of the first `length` bytes of a value. They are valid until the bytes are cut or
   * removed.
   */
  views(value: Value, length = this.length(value)): Uint8Array[] {
    return [...this.#arena.views(this.#chains.take(value), length)];
  }

  /** Copies the first `length` bytes of a value into `target` from `offset` on. */
  copyTo(value: Value, target: Uint8Array, offset = 0, length = this.length(value)): void {
    this.#arena.copyTo(this.#chains.take(value), target, offset, length);
  }

  copy(value: Value, length = this.length(value)): Uint8Array {
    const bytes = allocateBytes(length);
    this.copyTo(value, bytes, 0, length);
    return bytes;
  }

  /** Fixes a value as it stands. Its memory is kept until `end`, even if it is cut or removed. */
  lend(value: Value): Loan {
    const views = this.views(value);
    const loans = this.#loans.get(value) ?? new Loans();
    this.#loans.set(value, loans);
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
        if (this.#loans.get(value) === loans) this.#loans.delete(value);
        for (const extent of loans.kept) this.#lent -= this.#arena.release(extent);
      },
    };
  }

  /** Keeps a value out of `largest` until it is cut or let go. */
  hold(value: Value): void {
    this.#ranks.remove(value);
  }

  isHeld(value: Value): boolean {
    return !this.#ranks.has(value);
  }

  /** Ends a hold. */
  letGo(value: Value): void {
    this.#ranks.place(value, this.length(value));
  }

  /** Removes the first `length` bytes of a value that is held, and ends the hold. */
  cut(value: Value, length: number): void {
    this.#free(value, length);
    if (this.length(value) === 0) this.#forget(value);
    else this.letGo(value);
  }

  remove(key: string): void {
    const value = this.#keys.find(key);
    if (value === ABSENT) return;
    this.#ranks.remove(value);
    this.#free(value, this.length(value));
    this.#forget(value);
  }

  clear(): void {
    for (const key of [...this.keys()]) this.remove(key);
  }

  #grow(value: Value, bytes: Uint8Array, owned: boolean): void {
    this.#chains.append(value, bytes, owned);
    const length = this.length(value);
    this.#ranks.update(value, length);
    this.#chains.grant(value, toNextRank(length) - 1);
  }

  #add(key: string, bytes: Uint8Array, owned: boolean): void {
    const value = this.#keys.add(key);
    this.#bookkeeping += keyCost(key);
    this.#ranks.add(value);
    this.#chains.clear(value);
    this.#cuts[value] = this.#appended;
    try {
      this.#chains.append(value, bytes, owned);
    } catch (error) {
      this.#forget(value);
      throw error;
    }
    this.#ranks.place(value, bytes.length);
    this.#chains.grant(value, toNextRank(bytes.length) - 1);
  }

  #shrink(key: string, byteLength: number): void {
    const value = this.#keys.find(key);
    const chain = this.#chains.take(value);
    this.#arena.truncate(chain, chain.length - byteLength);
    this.#chains.put(value, chain);
    if (chain.length > 0) {
      this.#ranks.update(value, chain.length);
    } else {
      this.#ranks.remove(value);
      this.#forget(value);
    }
  }

  #free(value: Value, length: number): void {
    this.#byteLength -= length;
    this.#cuts[value] = this.cutCount(value) + length;
    const chain = this.#chains.take(value);
    const extent = this.#arena.cut(chain, length);
    this.#chains.put(value, chain);
    if (extent === NONE) return;
    const loans = this.#loans.get(value);
    if (loans) {
      loans.kept.push(extent);
      this.#lent += this.#arena.measure(extent);
    } else {
      this.#arena.release(extent);
    }
  }

  #forget(value: Value): void {
    this.#bookkeeping -= keyCost(this.#keys.key(value));
    this.#keys.remove(value);
    this.#loans.delete(value);
    if (this.#keys.size > 0) return;
    this.#keys.reset();
    this.#chains.reset();
    this.#ranks.reset();
    this.#cuts = [];
  }
}

/**
 * The number of a value in {@link Blocks}. It may be given to another value once it has no bytes.
 */
export type Value = number;

/** A value as it stood at one moment, in pieces that are copied as they are read. */
export interface Loan extends Iterable<Uint8Array> {
  end(): void;
}

class Loans {
  count = 0;
  /** The first extent of each run that was cut off meanwhile. */
  readonly kept: number[] = [];
}

/**
 * The cost of a key besides its bytes and text: 80 bytes in typed arrays, which double as they
 * fill, and a string, of which several dead ones may await collection for each live one. Measured
 * under Node 20 with keys that come and go on a busy machine.
 */
const KEY_BYTES = 300;

function keyCost(key: string): number {
  return KEY_BYTES + key.length;
}
