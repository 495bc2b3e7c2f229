import { PartdError } from "@partd/core";
import type { Load } from "./load.js";

/** Told after each batch that has reached the slow store. */
export interface SpillEvent {
  /** How many keys it held bytes of. */
  readonly keys: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

/** Told after each append that had to wait for room in memory, also if it was given up. */
export interface WaitEvent {
  readonly milliseconds: number;
}

/** Told after each batch that the slow store refused. Its bytes are still in memory. */
export interface SpillErrorEvent {
  readonly error: unknown;
}

/** Functions to be told of what happens. They are called on their own, after it has happened. */
export interface BufferListeners {
  readonly onSpill?: ((event: SpillEvent) => void) | undefined;
  readonly onSpillError?: ((event: SpillErrorEvent) => void) | undefined;
  readonly onWait?: ((event: WaitEvent) => void) | undefined;
}

/** Counts what has happened, and tells the listeners. */
export class Tally {
  spills = 0;
  spillErrors = 0;
  bytesSpilled = 0;
  flushes = 0;
  waits = 0;
  waitMilliseconds = 0;
  readonly #listeners: BufferListeners;

  /** @throws `ERR_PARTD_VALUE` for a listener that is no function. */
  constructor(listeners: BufferListeners) {
    for (const name of ["onSpill", "onSpillError", "onWait"] as const) {
      const listener: unknown = listeners[name];
      if (listener === undefined || typeof listener === "function") continue;
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `${name} must be a function, not ${listener === null ? "null" : typeof listener}.`,
      );
    }
    this.#listeners = listeners;
  }

  spilled({ values, byteLength }: Load, milliseconds: number): void {
    this.spills++;
    this.bytesSpilled += byteLength;
    tell(this.#listeners.onSpill, { keys: values.length, bytes: byteLength, milliseconds });
  }

  failed(error: unknown): void {
    this.spillErrors++;
    tell(this.#listeners.onSpillError, { error });
  }

  waited(milliseconds: number): void {
    this.waits++;
    this.waitMilliseconds += milliseconds;
    tell(this.#listeners.onWait, { milliseconds });
  }
}

/** In a turn of its own, so that a listener that throws disturbs no one but its author. */
function tell<E>(listener: ((event: E) => void) | undefined, event: E): void {
  if (listener) queueMicrotask(() => listener(event));
}
