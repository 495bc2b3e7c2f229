/** What a buffer holds now, and what it has done so far. */
export interface BufferStats {
  /** Bytes that the buffer may take. */
  readonly availableMemory: number;
  /** Bytes of memory in use for what is held: its bytes, room to grow and bookkeeping. */
  readonly memoryHeld: number;
  /** Bytes of values that have not reached the slow store. */
  readonly bytesHeld: number;
  /** Keys with bytes that have not reached the slow store. */
  readonly keysHeld: number;
  /** Bytes that reached the slow store. */
  readonly bytesSpilled: number;
  /** Batches that reached the slow store. */
  readonly spills: number;
  /** Batches that the slow store refused; each was or will be tried again. */
  readonly spillErrors: number;
  /** Batches on their way to the slow store. */
  readonly spillsInFlight: number;
  /** Bytes of the batches in flight. Those from memory also count as held until they have arrived. */
  readonly bytesInFlight: number;
  /** Completed calls of `flush`, including the one in `close`. */
  readonly flushes: number;
  /** Appends that wait for room in memory now. */
  readonly waiting: number;
  /** Appends that had to wait for room in memory, including those that were given up. */
  readonly waits: number;
  /** The sum of those waits, in milliseconds. */
  readonly waitMilliseconds: number;
}

/** Functions that a buffer calls after something has happened, each call in a turn of its own. */
export interface BufferListeners {
  /** A batch has reached the slow store. */
  readonly onSpill?: ((event: SpillEvent) => void) | undefined;
  /** The slow store refused a batch. Its bytes are still in memory. */
  readonly onSpillError?: ((event: SpillErrorEvent) => void) | undefined;
  /** An append had to wait for room in memory, and has been made or given up. */
  readonly onWait?: ((event: WaitEvent) => void) | undefined;
}

/** A batch that has reached the slow store. */
export interface SpillEvent {
  /**
   * How many keys the batch has bytes of; a key that occurs twice in a passed-on append counts twice.
   */
  readonly keys: number;
  /** Bytes of its values. */
  readonly bytes: number;
  /** How long the slow store took. */
  readonly milliseconds: number;
}

/** A batch that the slow store refused. */
export interface SpillErrorEvent {
  /** What the slow store threw. */
  readonly error: unknown;
}

/** An append that had to wait for room in memory. */
export interface WaitEvent {
  /** How long it waited. */
  readonly milliseconds: number;
}

/** Counts what has happened, and calls the listeners. */
export class SpillStats {
  #spills = 0;
  #spillErrors = 0;
  #bytesSpilled = 0;
  #flushes = 0;
  #waits = 0;
  #waitMilliseconds = 0;
  readonly #listeners: BufferListeners;

  constructor(listeners: BufferListeners) {
    this.#listeners = listeners;
  }

  get counts() {
    return {
      bytesSpilled: this.#bytesSpilled,
      spills: this.#spills,
      spillErrors: this.#spillErrors,
      flushes: this.#flushes,
      waits: this.#waits,
      waitMilliseconds: this.#waitMilliseconds,
    };
  }

  spilled(event: SpillEvent): void {
    this.#spills++;
    this.#bytesSpilled += event.bytes;
    call(this.#listeners.onSpill, event);
  }

  refused(error: unknown): void {
    this.#spillErrors++;
    call(this.#listeners.onSpillError, { error });
  }

  waited(milliseconds: number): void {
    this.#waits++;
    this.#waitMilliseconds += milliseconds;
    call(this.#listeners.onWait, { milliseconds });
  }

  flushed(): void {
    this.#flushes++;
  }
}

/** In a microtask of its own, so that a listener that throws fails alone. */
function call<E>(listener: ((event: E) => void) | undefined, event: E): void {
  if (listener) queueMicrotask(() => listener(event));
}
