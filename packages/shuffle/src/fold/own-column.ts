import { PartdError } from "@partd/core";
import { heapSize } from "../source/heap-size.js";
import { type Column, type Numbered, withRoom } from "./columns.js";
import { NO_NUMBER } from "./key-index.js";

/** An aggregate of the caller's own: `add` gets the records of each key in order. */
export interface OwnAggregate<R, S, T = S> {
  /** The state of a key before its first record. */
  initial(key: unknown): S;
  /** Returns the next state, which may be the changed one. Not asynchronous. */
  add(state: S, record: R): S;
  /** Makes the result of the last state. Default: the state itself. */
  finish?(state: S): T;
}

/** States of the caller's own aggregate. Their records come in the order of the input. */
export class OwnColumn<R, S, T> implements Column<T> {
  readonly bytesPerKey = 200;
  readonly #aggregate: OwnAggregate<R, S, T>;
  readonly #states: S[] = [];
  readonly #sizes = new StateSizes();

  constructor(aggregate: OwnAggregate<R, S, T>) {
    this.#aggregate = aggregate;
  }

  get heldBytes(): number {
    return this.#sizes.total;
  }

  add({ count, numbers, key }: Numbered, records: ArrayLike<unknown>): void {
    const aggregate = this.#aggregate;
    const states = this.#states;
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!;
      if (number === NO_NUMBER) continue;
      const before = number === states.length ? aggregate.initial(key(number)) : states[number]!;
      const state = aggregate.add(before, records[i] as R);
      states[number] = state;
      if (typeof state === "number") continue;
      if (state instanceof Promise) throw notAwaited(state);
      this.#sizes.note(number, state);
    }
  }

  result(number: number): T {
    const state = this.#states[number]!;
    const aggregate = this.#aggregate;
    return aggregate.finish ? aggregate.finish(state) : (state as unknown as T);
  }
}

function notAwaited(state: Promise<unknown>): PartdError {
  state.catch(() => {}); // Its rejection would end the process.
  return new PartdError(
    "ERR_PARTD_VALUE",
    "The function that adds a record to a state gave a promise, which is not awaited: give it one that is not async, or read the records of each key with groupBy.",
  );
}

/**
 * Estimates the sizes of states that are not numbers. Measuring a state takes time in proportion to its
 * size, so each is measured after 1, 2, 4, 8 … records, and assumed to grow steadily in between.
 */
class StateSizes {
  total = 0;
  /** By key number: the records so far, the assumed size of the state, and its growth a record. */
  #records = new Float64Array(256);
  #sizes = new Float64Array(256);
  #growths = new Float64Array(256);

  note(number: number, state: unknown): void {
    this.#records = withRoom(this.#records, number + 1);
    this.#sizes = withRoom(this.#sizes, number + 1);
    this.#growths = withRoom(this.#growths, number + 1);
    const records = ++this.#records[number]!;
    let growth = this.#growths[number]!;
    if ((records & (records - 1)) === 0) {
      // Its growth since the last measurement, which was half of its records ago.
      const since = records >> 1;
      const size = heapSize(state);
      const before = this.#sizes[number]! - growth * Math.max(0, since - 1);
      if (since > 0) this.#growths[number] = Math.max(0, (size - before) / since);
      growth = size - this.#sizes[number]!;
    }
    this.total += growth;
    this.#sizes[number]! += growth;
  }
}
