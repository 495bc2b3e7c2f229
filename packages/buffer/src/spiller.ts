import type { OperationOptions } from "@partd/core";
import {
  type AppendOptions,
  type Batch,
  BatchEntries,
  type LowerStore,
  unlessAborted,
} from "@partd/core/author";
import type { Blocks } from "@partd/core/memory";
import { Changes } from "./changes.js";
import type { Claim, Claims } from "./claims.js";
import { Doubt } from "./doubt.js";
import { Flight } from "./flight.js";
import { FlushJob } from "./flush-job.js";
import { Holds } from "./holds.js";
import { type Limits, roughCost } from "./limits.js";
import { type Append, Line } from "./line.js";
import { Load, Spaces } from "./load.js";
import type { Tally } from "./tally.js";
import { Unfinished } from "./unfinished.js";

/**
 * Moves values from memory to the slow store while appends go on.
 *
 * A value is moved by a *flight*: its bytes stay in memory, and held, until the slow store has
 * them, and are then cut off its front; meanwhile more may be appended behind them. So a flight
 * that fails changes nothing, a key's bytes arrive in order, and at most one flight carries a key.
 * A read claims its keys, which keeps flights from taking off with them, and waits for those that
 * have; a big append does the same.
 */
export class Spiller {
  /** The slow store, or what `withLock` of it passed. */
  target: LowerStore;
  readonly unfinished = new Unfinished();
  readonly doubt = new Doubt();
  readonly #blocks: Blocks;
  readonly #limits: Limits;
  readonly #tally: Tally;
  readonly #flights = new Set<Flight>();
  readonly #jobs = new Set<FlushJob>();
  readonly #line = new Line();
  readonly #holds: Holds;
  readonly #landings = new Changes();
  /** Announced when a flight lands or a read ends. */
  readonly #ends = new Changes();
  /** Announced when reads need wait no longer. */
  readonly #calm = new Changes();
  readonly #spaces: Spaces;
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
  /** Why the last flight failed; no more take off by themselves until one is asked for. */
  #failure: { readonly error: unknown } | undefined;

  constructor(blocks: Blocks, slow: LowerStore, limits: Limits, tally: Tally) {
    this.#blocks = blocks;
    this.#holds = new Holds(blocks);
    this.target = slow;
    this.#limits = limits;
    this.#spaces = new Spaces(limits.concurrency);
    this.#tally = tally;
  }

  /** What is on its way to the slow store, and what waits for room. */
  get underway(): { batches: number; bytes: number; waiting: number } {
    return { batches: this.#flights.size, bytes: this.#flying, waiting: this.#line.size };
  }

  /** Appends to memory, now or when there is room, or a big batch to the slow store. */
  append(batch: Batch, options: AppendOptions): Promise<void> | undefined {
    const { signal, owned } = options;
    if (this.unfinished.work) {
      return this.unfinished.over(signal).then(() => this.append(batch, options));
    }
    if (this.#line.need === undefined && this.#fits(roughCost(batch))) {
      this.#blocks.append(batch, owned);
      if (this.#blocks.footprint > this.#limits.high) this.#pump();
      return undefined;
    }
    const need = this.#blocks.cost(batch);
    if (this.#line.need === undefined && this.#fits(need)) {
      this.#blocks.append(batch, owned);
      this.#pump();
      return undefined;
    }
    return need > this.#limits.big
      ? this.#send([...new Set(batch.keys)], batch, signal)
      : this.#wait({ batch, need, owned }, signal);
  }

  /** Writes all that is in memory now. */
  async flush(signal: AbortSignal | undefined): Promise<void> {
    await this.unfinished.over(signal);
    const job = new FlushJob(this.#blocks);
    this.#jobs.add(job);
    this.#failure = undefined; // What failed is tried again.
    this.#pump();
    try {
      await unlessAborted(job.done, signal);
    } finally {
      this.#jobs.delete(job);
    }
    this.doubt.tell();
  }

  /**
   * Runs `work` while what memory holds of the keys stays there and nothing of it is in flight. If
   * that is given up, it ends by itself, unless the caller `waits` for it all the same.
   */
  async read<T>(
    keys: readonly string[],
    work: () => Promise<T>,
    { signal, waits }: OperationOptions & { readonly waits?: boolean },
  ): Promise<T> {
    if (this.unfinished.work) await this.unfinished.over(signal);
    while (this.#readsWait) await this.#calm.next(signal);
    const reading = this.#read(keys, work, signal);
    return waits || !signal ? reading : unlessAborted(reading, signal);
  }

  /** Runs `work` while nothing is in flight. */
  async still<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.unfinished.over(signal);
    this.#quiet++;
    try {
      await this.landed(signal);
      return await work();
    } finally {
      this.#quiet--;
      this.#pump();
    }
  }

  /**
   * The same for work that changes keys in memory and below, and is not to end midway: if it is
   * given up it goes on, and what comes next waits for it.
   */
  change(signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
    return this.unfinished.wait(this.still(signal, work), signal);
  }

  /** Brings down what memory has of a key. */
  async bringDown(key: string): Promise<void> {
    if (this.#blocks.get(key) !== undefined) await this.#send([key], undefined, undefined);
  }

  /** Resolves when nothing is in flight. */
  async landed(signal?: AbortSignal): Promise<void> {
    while (this.#flights.size > 0) await this.#landings.next(signal);
  }

  async #read<T>(
    keys: readonly string[],
    work: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const claim = this.#holds.reads.enter(keys);
    try {
      for (let rest = keys; this.#flights.size > 0; ) {
        rest = rest.filter((key) => this.#holds.isFlying(key));
        if (rest.length === 0) break;
        await this.#landings.next(signal);
      }
      return await work();
    } finally {
      this.#leave(this.#holds.reads, claim);
      this.#pump();
      this.#ends.announce();
    }
  }

  #fits(need: number): boolean {
    return this.#blocks.footprint + need <= this.#limits.bound;
  }

  async #wait(append: Append, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const since = performance.now();
    const turn = this.#line.wait(append, signal);
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

  /**
   * Writes a batch straight to the slow store, behind what memory has of its keys. What would fill
   * much of the memory goes that way.
   */
  async #send(
    keys: readonly string[],
    batch: Batch | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const claim = this.#holds.bigs.enter(keys);
    this.#bigWaiting++;
    try {
      while (this.#holds.areBusy(keys)) await this.#ends.next(signal);
    } catch (error) {
      this.#leave(this.#holds.bigs, claim);
      throw error;
    } finally {
      this.#bigWaiting--;
      this.#pump();
    }
    const load = new Load(this.#blocks, 0);
    for (const key of keys) {
      const value = this.#blocks.get(key);
      if (value !== undefined) load.addWhole(value, this.#holds.takeOver(key));
    }
    if (batch) load.addBatch(batch);
    // What was in memory is not given up: no one would know whether it had been written.
    const flight = new Flight(load, undefined, true, load.values.length > 0 ? undefined : signal);
    const flying = this.#holds.bigFlights.enter(keys);
    void this.#launch(flight, () => {
      this.#leave(this.#holds.bigFlights, flying);
      this.#leave(this.#holds.bigs, claim);
    });
    try {
      while (!flight.landed) await this.#landings.next(signal);
    } catch (error) {
      flight.abandoned = true;
      throw error;
    }
    if (flight.failure) throw flight.failure.error;
  }

  #leave(claims: Claims, claim: Claim): void {
    this.#holds.leave(claims, claim, (key) => {
      for (const job of this.#jobs) job.unclaim(key);
    });
  }

  /** Brings everything on its way that can be: called whenever something has changed. */
  #pump(): void {
    this.#admit();
    while (this.#flights.size < this.#limits.concurrency) {
      const flight = this.#nextFlight();
      if (!flight) break;
      void this.#launch(flight);
    }
    for (const job of this.#jobs) {
      if (!job.isDone) continue;
      this.#jobs.delete(job);
      job.resolve();
    }
    const isStuck =
      this.#flights.size === 0 && (this.#line.need !== undefined || this.#jobs.size > 0);
    const readsWaited = this.#readsWait;
    this.#readsWait = this.#holds.reads.size > 0 && (isStuck || this.#bigWaiting > 0);
    if (readsWaited && !this.#readsWait) this.#calm.announce();
    if (this.#flights.size > 0) return;
    if (this.#line.need !== undefined && this.#jobs.size === 0 && this.#failure) {
      this.doubt.told(this.#failure.error);
      this.#line.reject(this.#failure.error);
    }
    if (!this.#draining) this.#spaces.clear();
  }

  #admit(): void {
    for (let need = this.#line.need; need !== undefined; need = this.#line.need) {
      if (!this.#fits(need) && this.#blocks.size > 0) return;
      this.#line.admit(({ batch, owned }) => this.#blocks.append(batch, owned));
    }
  }

  #nextFlight(): Flight | undefined {
    const wantsRoom = this.#wantsRoom();
    if (this.#jobs.size === 0 && !wantsRoom) return undefined;
    const load = new Load(this.#blocks, this.#limits.batch, this.#spaces.take());
    for (const job of this.#jobs) {
      job.fill(load, (key) => this.#holds.isClaimed(key));
      if (load.values.length > 0) return new Flight(load, job);
    }
    if (wantsRoom) {
      for (const value of this.#blocks.largest()) {
        if (this.#holds.isClaimed(this.#blocks.key(value))) this.#holds.park(value);
        else load.add(value);
        if (load.isFull) break;
      }
    }
    if (load.values.length > 0) return new Flight(load);
    this.#spaces.keep(load.space);
    return undefined;
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

  async #launch(flight: Flight, whenLanded?: () => void): Promise<void> {
    this.#flights.add(flight);
    this.#flying += flight.load.byteLength;
    const { load, job } = flight;
    const since = performance.now();
    try {
      await this.target.append(new BatchEntries(load.batch), { signal: flight.signal });
      load.arrive();
      this.#spaces.keep(load.space); // But not after a failure: the bytes may be on their way still.
      if (!flight.isPrivate) this.#failure = undefined;
      this.#tally.spilled(load, performance.now() - since);
    } catch (error) {
      load.turnBack();
      flight.failure = { error };
      if (!flight.isPrivate) this.#fail(error, job);
      else if (flight.abandoned && load.values.length > 0) this.doubt.note(error);
    }
    flight.landed = true;
    this.#flying -= load.byteLength;
    this.#flights.delete(flight);
    whenLanded?.();
    this.#pump();
    this.#landings.announce();
    this.#ends.announce();
  }

  #fail(error: unknown, job: FlushJob | undefined): void {
    this.#failure = { error };
    this.#draining = false;
    this.#tally.failed(error);
    if (job && this.#jobs.delete(job)) job.reject(error);
    else this.doubt.note(error);
  }
}
