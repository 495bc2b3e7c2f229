import {
  type Batch,
  BatchEntries,
  type Blocks,
  isPartdError,
  PartdError,
  type Store,
  unlessAborted,
  type Value,
} from "@partd/core";
import { Changes } from "./changes.js";
import { FlushJob } from "./flush-job.js";
import type { Limits } from "./limits.js";
import { Line } from "./line.js";
import { Load } from "./load.js";
import { Reads } from "./reads.js";
import type { Tally } from "./tally.js";

/**
 * Moves values from memory to the slow store while appends go on.
 *
 * A value is moved by a *flight*: its bytes stay in memory, and held, until the slow store has
 * them, and are then cut off its front; meanwhile more may be appended behind them. So a flight
 * that fails changes nothing, a key's bytes arrive in order, and at most one flight carries a key.
 * A read keeps flights from taking off with its keys, and waits for those that have.
 */
export class Spiller {
  /** The slow store, or what `withLock` of it passed. */
  target: Store;
  readonly #blocks: Blocks;
  readonly #limits: Limits;
  readonly #tally: Tally;
  readonly #flights = new Set<Flight>();
  readonly #jobs = new Set<FlushJob>();
  readonly #line = new Line();
  readonly #reads = new Reads();
  readonly #changes = new Changes();
  /** Memory for short pieces, of flights that have landed. */
  readonly #spaces: Uint8Array[] = [];
  /** Payload bytes in flight. */
  #flying = 0;
  /** Whether memory is being emptied down to the low mark. */
  #draining = false;
  /** Nothing takes off of itself while this is above zero. */
  #quiet = 0;
  /** Big appends that wait for reads and flights of their keys. */
  #bigWaiting = 0;
  /** Reads that come now wait, so that what waits for reads is not starved by ever new ones. */
  #readsWait = false;
  /** The footprint at which it is worth looking again for values that no read keeps in memory. */
  #lookAgainAt = 0;
  /** Why the last flight failed; no more take off by themselves until one is asked for. */
  #failure: { readonly error: unknown } | undefined;
  /** A failure after which no one knows whether the slow store has the bytes, and not told yet. */
  #doubt: unknown;

  constructor(blocks: Blocks, slow: Store, limits: Limits, tally: Tally) {
    this.#blocks = blocks;
    this.target = slow;
    this.#limits = limits;
    this.#tally = tally;
  }

  /** How many batches are on their way to the slow store. */
  get flights(): number {
    return this.#flights.size;
  }

  /** Appends to memory, now or when there is room, or a big batch to the slow store. */
  append(batch: Batch, signal: AbortSignal | undefined): Promise<void> | undefined {
    if (this.#line.need === undefined && this.#fits(roughCost(batch))) {
      this.#blocks.append(batch);
      if (this.#blocks.footprint > this.#limits.high) this.#pump();
      return undefined;
    }
    const need = this.#blocks.cost(batch);
    if (this.#line.need === undefined && this.#fits(need)) {
      this.#blocks.append(batch);
      this.#pump();
      return undefined;
    }
    return need > this.#limits.big
      ? this.#appendBig(batch, signal)
      : this.#wait(batch, need, signal);
  }

  /** Resolves once there is room for `need` bytes of memory; nothing else is being appended. */
  async makeRoom(batch: Batch, signal: AbortSignal | undefined): Promise<void> {
    const need = this.#blocks.cost(batch);
    if (need <= this.#limits.big && !this.#fits(need)) await this.#wait(NOTHING, need, signal);
  }

  /** Writes all that is in memory now. */
  async flush(signal: AbortSignal | undefined): Promise<void> {
    const job = new FlushJob(this.#blocks);
    this.#jobs.add(job);
    this.#lookAgainAt = 0;
    this.#failure = undefined; // What failed is tried again.
    this.#pump();
    try {
      await unlessAborted(job.done, signal);
    } finally {
      this.#jobs.delete(job);
    }
    const doubt = this.#doubt;
    if (doubt === undefined) return;
    this.#doubt = undefined;
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      "Everything has reached the slow store, but an earlier attempt failed without telling whether its bytes had arrived: some may be there twice.",
      { cause: doubt },
    );
  }

  /** Runs `work` while what memory holds of the keys stays there and nothing of it is in flight. */
  async read<T>(
    keys: readonly string[],
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    while (this.#readsWait) await this.#changes.next(signal);
    const read = this.#reads.enter(keys);
    try {
      let flying = this.#flights.size === 0 ? [] : keys.filter((key) => this.#isFlying(key));
      while (flying.length > 0) {
        await this.#changes.next(signal);
        flying = flying.filter((key) => this.#isFlying(key));
      }
      return await work();
    } finally {
      this.#reads.leave(read);
      this.#lookAgainAt = 0;
      this.#pump();
      this.#changes.announce();
    }
  }

  /** Runs `work` while nothing is in flight. */
  async still<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    this.#quiet++;
    try {
      await this.landed(signal);
      return await work();
    } finally {
      this.#quiet--;
      this.#pump();
    }
  }

  /** Resolves when nothing is in flight. */
  async landed(signal?: AbortSignal): Promise<void> {
    while (this.#flights.size > 0) await this.#changes.next(signal);
  }

  #fits(need: number): boolean {
    return this.#blocks.footprint + need <= this.#limits.bound;
  }

  async #wait(batch: Batch, need: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const since = performance.now();
    if (this.#line.need === undefined) this.#lookAgainAt = 0;
    const turn = this.#line.wait(batch, need, signal);
    // If nothing is in flight, the next one to fail or succeed is on behalf of this append.
    if (this.#flights.size === 0) this.#failure = undefined;
    this.#pump();
    try {
      await turn;
    } finally {
      this.#tally.waited(performance.now() - since);
      this.#pump();
    }
  }

  /** What would fill much of the memory goes straight through, behind what memory has of its keys. */
  async #appendBig(batch: Batch, signal: AbortSignal | undefined): Promise<void> {
    const keys = new Set(batch.keys);
    this.#bigWaiting++;
    try {
      while (this.#anyBusy(keys)) await this.#changes.next(signal);
    } finally {
      this.#bigWaiting--;
    }
    const load = new Load(this.#blocks, 0);
    for (const key of keys) {
      const value = this.#blocks.get(key);
      if (value !== undefined) load.addWhole(value);
    }
    load.addBatch(batch);
    const flight = new Flight(load, undefined, keys, signal);
    this.#launch(flight);
    while (!flight.landed) await this.#changes.next(signal);
    if (flight.failure) throw flight.failure.error;
  }

  #anyBusy(keys: ReadonlySet<string>): boolean {
    for (const key of keys) if (this.#isFlying(key) || this.#reads.has(key)) return true;
    return false;
  }

  #isFlying(key: string): boolean {
    const value = this.#blocks.get(key);
    if (value !== undefined && this.#blocks.isHeld(value)) return true;
    for (const { keys } of this.#flights) if (keys?.has(key)) return true;
    return false;
  }

  /** Brings everything on its way that can be: called whenever something has changed. */
  #pump(): void {
    this.#admit();
    while (this.#flights.size < this.#limits.concurrency) {
      const flight = this.#nextFlight();
      if (!flight) break;
      this.#launch(flight);
    }
    for (const job of this.#jobs) {
      if (!job.isDone) continue;
      this.#jobs.delete(job);
      job.resolve();
    }
    const isStuck =
      this.#flights.size === 0 && (this.#line.need !== undefined || this.#jobs.size > 0);
    const readsWaited = this.#readsWait;
    this.#readsWait = this.#reads.size > 0 && (isStuck || this.#bigWaiting > 0);
    if (readsWaited && !this.#readsWait) this.#changes.announce();
    if (this.#flights.size > 0) return;
    if (this.#line.need !== undefined && this.#jobs.size === 0 && this.#failure) {
      if (this.#failure.error === this.#doubt) this.#doubt = undefined; // Told.
      this.#line.reject(this.#failure.error);
    }
    if (!this.#draining) this.#spaces.length = 0;
  }

  #admit(): void {
    for (let need = this.#line.need; need !== undefined; need = this.#line.need) {
      if (!this.#fits(need) && this.#blocks.size > 0) return;
      this.#line.admit((batch) => this.#blocks.append(batch));
    }
  }

  #nextFlight(): Flight | undefined {
    const wantsRoom = this.#wantsRoom();
    if (this.#jobs.size === 0 && !wantsRoom) return undefined;
    if (this.#blocks.footprint < this.#lookAgainAt) return undefined;
    const load = new Load(this.#blocks, this.#limits.batch, this.#spaces.pop());
    for (const job of this.#jobs) {
      job.fill(load, (value) => this.#isFree(value));
      if (load.values.length > 0) return new Flight(load, job);
    }
    if (wantsRoom) {
      for (const value of this.#blocks.largest()) {
        if (this.#isFree(value)) load.add(value);
        if (load.isFull) break;
      }
    }
    if (load.values.length > 0) return new Flight(load);
    this.#keepSpace(load);
    // All values are being read, it may be a million of them: not to be looked through at each append.
    if (wantsRoom && this.#reads.size > 0) {
      this.#lookAgainAt = this.#blocks.footprint + this.#limits.batch;
    }
    return undefined;
  }

  #isFree(value: Value): boolean {
    if (this.#blocks.isHeld(value)) return false;
    return this.#reads.size === 0 || !this.#reads.has(this.#blocks.key(value));
  }

  #wantsRoom(): boolean {
    if (this.#failure) return false;
    const { bound, high, low } = this.#limits;
    const remaining = this.#blocks.footprint - this.#flying;
    const need = this.#line.need;
    if (need !== undefined && remaining + need > bound) return true;
    if (this.#quiet > 0) return false;
    if (remaining > high) this.#draining = true;
    else if (remaining <= low) this.#draining = false;
    return this.#draining;
  }

  #launch(flight: Flight): void {
    this.#flights.add(flight);
    this.#flying += flight.load.byteLength;
    void this.#fly(flight);
  }

  async #fly(flight: Flight): Promise<void> {
    const { load, job } = flight;
    const since = performance.now();
    try {
      await this.target.append(new BatchEntries(load.batch), { signal: flight.signal });
      load.arrive();
      this.#keepSpace(load); // But not after a failure: the bytes may be on their way still.
      if (!flight.keys) this.#failure = undefined;
      this.#tally.spilled(load, performance.now() - since);
    } catch (error) {
      load.turnBack();
      flight.failure = { error };
      if (!flight.keys) this.#fail(error, job);
    }
    flight.landed = true;
    this.#flying -= load.byteLength;
    this.#flights.delete(flight);
    this.#lookAgainAt = 0;
    this.#pump();
    this.#changes.announce();
  }

  #fail(error: unknown, job: FlushJob | undefined): void {
    this.#failure = { error };
    this.#draining = false;
    this.#tally.failed(error);
    if (job && this.#jobs.delete(job)) job.reject(error);
    else if (isPartdError(error, "ERR_PARTD_CONNECTION")) this.#doubt = error;
  }

  #keepSpace({ space }: Load): void {
    if (space && this.#spaces.length < this.#limits.concurrency) this.#spaces.push(space);
  }
}

/** A batch on its way to the slow store. */
class Flight {
  readonly load: Load;
  /** The flush that it is part of. */
  readonly job: FlushJob | undefined;
  /** The keys of a big append, whose bytes are in part in no value. */
  readonly keys: ReadonlySet<string> | undefined;
  readonly signal: AbortSignal | undefined;
  landed = false;
  failure: { readonly error: unknown } | undefined;

  constructor(load: Load, job?: FlushJob, keys?: ReadonlySet<string>, signal?: AbortSignal) {
    this.load = load;
    this.job = job;
    this.keys = keys;
    this.signal = signal;
  }
}

/** What a batch costs at the very most, unless its keys are very long, without looking them up. */
function roughCost(batch: Batch): number {
  return batch.byteLength + 1024 * batch.keys.length;
}

const NOTHING: Batch = { keys: [], values: [], byteLength: 0 };
