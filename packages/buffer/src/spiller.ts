import type { OperationOptions } from "@partd/core";
import {
  type AppendOptions,
  type Batch,
  checkIntact,
  type LowerStore,
  unlessAborted,
  WaitQueue,
} from "@partd/core/author";
import type { Blocks } from "@partd/core/memory";
import { type Failure, Flights, SpillFailures } from "./flights.js";
import { Gathering, MANY_KEYS, SMALL_VALUE } from "./gathering.js";
import { type Claims, type KeyClaim, KeyClaims } from "./key-claims.js";
import type { Limits } from "./limits.js";
import { FlushJob, SpillBatch } from "./spill-batch.js";
import type { SpillStats } from "./stats.js";

/**
 * Moves values from memory to the slow store while appends go on.
 *
 * While a batch is in flight its bytes stay in memory, held, until the slow store has them; then they
 * are cut off the front of their values. Meanwhile more may be appended behind them. So a failed batch
 * changes nothing, a key's bytes arrive in order, and at most one batch carries a key. A read claims
 * its keys, so that spills do not take them, and waits for those in flight; so does a big append.
 */
export class Spiller {
  /** Batches on their way, and the store that they go to. */
  readonly flights: Flights;
  readonly #blocks: Blocks;
  readonly #limits: Limits;
  readonly #stats: SpillStats;
  readonly #jobs = new Set<FlushJob>();
  /** Appends that wait for room. */
  readonly #appends = new WaitQueue<WaitingAppend>();
  readonly #claims: KeyClaims;
  /** Resolved when a batch has landed: the slow store has taken or refused it. */
  readonly #landings = new WaitQueue();
  /** Resolved when a batch has landed or a read has ended. */
  readonly #ends = new WaitQueue();
  /** Reads that wait until `#readsWait` is false. */
  readonly #reads = new WaitQueue();
  readonly #failures = new SpillFailures();
  /** Decides whether to gather at all. Undefined if the slow store prefers few large values. */
  readonly #gathering: Gathering | undefined;
  /** Whether memory is being emptied down to the low mark. */
  #draining = false;
  /** While this is above zero, nothing is spilled unless a caller asks. */
  #quiet = 0;
  /** Big appends that wait for reads and flights of their keys. */
  #bigWaiting = 0;
  /** Whether new reads wait, so that they do not starve what waits for reads to end. */
  #readsWait = false;

  constructor(blocks: Blocks, slow: LowerStore, limits: Limits, stats: SpillStats) {
    this.#blocks = blocks;
    this.#claims = new KeyClaims(blocks);
    this.#limits = limits;
    this.flights = new Flights(slow, limits.concurrency, stats);
    this.#stats = stats;
    if (slow.takesSmallValues) this.#gathering = new Gathering(limits.high);
  }

  /** Appends that wait for room. */
  get waiting(): number {
    return this.#appends.size;
  }

  /** Appends to memory. A large batch, or one not worth gathering, goes to the slow store instead. */
  append(batch: Batch, options: AppendOptions): Promise<void> | undefined {
    const gathering = this.#gathering;
    if (gathering && (gathering.isInVain || this.#hasSmallValues())) {
      gathering.add(batch);
      if (gathering.isInVain && batch.keys.length >= MANY_KEYS) return this.#passOn(batch, options);
    }
    return this.#gather(batch, options);
  }

  #gather(batch: Batch, { signal, owned }: AppendOptions): Promise<void> | undefined {
    if (this.#appends.size === 0 && this.#fits(roughCost(batch))) {
      this.#blocks.append(batch, owned);
      if (this.#blocks.footprint > this.#limits.high) this.#pump();
      return undefined;
    }
    const need = this.#blocks.cost(batch);
    if (this.#appends.size === 0 && this.#fits(need)) {
      this.#blocks.append(batch, owned);
      this.#pump();
      return undefined;
    }
    return need > this.#limits.big
      ? this.#send([...new Set(batch.keys)], batch, signal)
      : this.#wait({ batch, need, owned }, signal);
  }

  /**
   * Writes everything that is in memory now.
   *
   * @throws `ERR_PARTD_CONNECTION` if some of it may be in the slow store twice.
   */
  async flush(signal: AbortSignal | undefined): Promise<void> {
    await this.#empty(signal);
    this.#failures.checkCertain();
  }

  async #empty(signal: AbortSignal | undefined): Promise<void> {
    const job = new FlushJob(this.#blocks);
    this.#jobs.add(job);
    this.#failures.retry();
    this.#pump();
    try {
      await unlessAborted(job.done, signal);
    } finally {
      this.#jobs.delete(job);
    }
  }

  /**
   * Runs `work` once no writes of these keys are in flight, and keeps their values in memory until it
   * has ended. If the signal is aborted, the promise rejects at once and the work ends in the
   * background; with `waits`, the promise settles only when the work has ended.
   */
  async read<T>(
    keys: readonly string[],
    work: () => Promise<T>,
    { signal, waits }: OperationOptions & { readonly waits?: boolean },
  ): Promise<T> {
    while (this.#readsWait) await this.#reads.wait(undefined, signal);
    const reading = this.#read(keys, work, signal);
    return waits || !signal ? reading : unlessAborted(reading, signal);
  }

  /** Runs `work` while nothing is in flight. */
  async whileQuiet<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    this.#quiet++;
    try {
      await this.landed(signal);
      return await work();
    } finally {
      this.#quiet--;
      this.#pump();
    }
  }

  /** Writes what memory has of a key to the slow store. */
  async bringDown(key: string): Promise<void> {
    if (this.#blocks.get(key) !== undefined) await this.#send([key], undefined, undefined);
  }

  /** Resolves when nothing is in flight. */
  async landed(signal?: AbortSignal): Promise<void> {
    while (this.flights.size > 0) await this.#landings.wait(undefined, signal);
  }

  /** Call this when all data has been removed, including any duplicates. */
  forgetUncertainty(): void {
    this.#failures.clear();
  }

  async #read<T>(
    keys: readonly string[],
    work: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const claim = this.#claims.reads.begin(keys);
    try {
      for (let rest = keys; this.flights.size > 0; ) {
        rest = rest.filter((key) => this.#claims.isInFlight(key));
        if (rest.length === 0) break;
        await this.#landings.wait(undefined, signal);
      }
      return await work();
    } finally {
      this.#endClaim(this.#claims.reads, claim);
      this.#pump();
      this.#ends.resolveAll();
    }
  }

  #fits(need: number): boolean {
    return this.#blocks.footprint + need <= this.#limits.bound;
  }

  async #wait(append: WaitingAppend, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const since = performance.now();
    const appended = this.#appends.wait(append, signal);
    // If nothing is in flight, the next batch to land is on behalf of this append.
    if (this.flights.size === 0) this.#failures.retry();
    this.#pump();
    try {
      await appended;
    } finally {
      this.#stats.waited(performance.now() - since);
      this.#pump();
    }
  }

  #hasSmallValues(): boolean {
    return this.#blocks.byteLength < SMALL_VALUE * this.#blocks.size;
  }

  /**
   * Writes a batch straight to the slow store while memory is empty, so that its keys need not be
   * looked up there.
   */
  async #passOn(batch: Batch, options: AppendOptions): Promise<void> {
    const { signal } = options;
    if (this.#blocks.size > 0) {
      // If the slow store fails, or other appends fill memory, the batch is gathered as usual.
      await this.#empty(signal).catch(() => signal?.throwIfAborted());
      checkIntact(batch);
      if (this.#blocks.size > 0) return this.#gather(batch, options);
    }
    const claim = this.#claims.bigAppends.begin(batch.keys);
    const passed = new SpillBatch(this.#blocks, 0);
    passed.addBatch(batch, batch.keys.length);
    await this.#deliver(passed, claim, signal);
  }

  /** Writes a large batch straight to the slow store, behind what memory has of its keys. */
  async #send(
    keys: readonly string[],
    batch: Batch | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const claim = this.#claims.bigAppends.begin(keys);
    this.#bigWaiting++;
    try {
      while (this.#claims.areBusy(keys)) await this.#ends.wait(undefined, signal);
      if (batch) checkIntact(batch);
    } catch (error) {
      this.#endClaim(this.#claims.bigAppends, claim);
      throw error;
    } finally {
      this.#bigWaiting--;
      this.#pump();
    }
    const spilled = new SpillBatch(this.#blocks, 0);
    for (const key of keys) {
      const value = this.#blocks.get(key);
      if (value !== undefined) spilled.addWhole(value, this.#claims.takeOver(key));
    }
    if (batch) spilled.addBatch(batch, keys.length);
    await this.#deliver(spilled, claim, signal);
  }

  /** Writes a batch whose keys are claimed, and ends the claim. */
  async #deliver(
    spilled: SpillBatch,
    claim: KeyClaim,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const sent = this.#sendClaimed(spilled, claim, signal);
    let failure: Failure | undefined;
    try {
      failure = await unlessAborted(sent, signal);
    } catch (error) {
      if (spilled.values.length > 0) {
        void sent.then((failed) => failed && this.#failures.unreported(failed));
      }
      throw error;
    }
    if (failure) throw failure.error;
  }

  async #sendClaimed(
    batch: SpillBatch,
    claim: KeyClaim,
    signal: AbortSignal | undefined,
  ): Promise<Failure | undefined> {
    const { bigAppends, bigFlights } = this.#claims;
    const flight = bigFlights.begin(claim.keys);
    // An abort does not apply to bytes of memory: it would be unknown whether they were written.
    const failure = await this.flights.write(batch, batch.values.length > 0 ? undefined : signal);
    this.flights.land(batch, failure);
    this.#endClaim(bigFlights, flight);
    this.#endClaim(bigAppends, claim);
    this.#afterLanding();
    return failure;
  }

  #endClaim(claims: Claims, claim: KeyClaim): void {
    for (const key of this.#claims.end(claims, claim)) {
      for (const job of this.#jobs) job.unclaim(key);
    }
  }

  /** Starts everything that can be started: called whenever something has changed. */
  #pump(): void {
    this.#admit();
    while (this.flights.size < this.#limits.concurrency) {
      const spill = this.#nextSpill();
      if (!spill) break;
      void this.#spill(spill);
    }
    for (const job of this.#jobs) {
      if (!job.isDone) continue;
      this.#jobs.delete(job);
      job.resolve();
    }
    const isStuck = this.flights.size === 0 && (this.#appends.size > 0 || this.#jobs.size > 0);
    this.#readsWait = this.#claims.reads.size > 0 && (isStuck || this.#bigWaiting > 0);
    if (!this.#readsWait) this.#reads.resolveAll();
    if (this.flights.size > 0) return;
    const failure = this.#failures.last;
    if (failure && this.#appends.size > 0 && this.#jobs.size === 0) {
      this.#failures.reported();
      this.#appends.rejectAll(failure.error);
    }
    if (!this.#draining) this.flights.spaces.clear();
  }

  /**
   * Admits waiting appends in order while there is room; into empty memory, even one that is too large.
   */
  #admit(): void {
    for (let next = this.#appends.first; next; next = this.#appends.first) {
      if (!this.#fits(next.need) && this.#blocks.size > 0) return;
      const wait = this.#appends.take();
      try {
        checkIntact(next.batch);
        this.#blocks.append(next.batch, next.owned);
        wait?.resolve();
      } catch (error) {
        wait?.reject(error);
      }
    }
  }

  #nextSpill(): Spill | undefined {
    const wantsRoom = this.#wantsRoom();
    if (this.#jobs.size === 0 && !wantsRoom) return undefined;
    const batch = new SpillBatch(this.#blocks, this.#limits.batch, this.flights.spaces.take());
    for (const job of this.#jobs) {
      job.fill(batch, (key) => this.#claims.isClaimed(key));
      if (batch.values.length > 0) return { batch, job };
    }
    if (wantsRoom) {
      for (const value of this.#blocks.largest()) {
        if (this.#claims.isClaimed(this.#blocks.key(value))) this.#claims.park(value);
        else batch.add(value);
        if (batch.isFull) break;
      }
    }
    if (batch.values.length > 0) return { batch, job: undefined };
    this.flights.spaces.keep(batch.space);
    return undefined;
  }

  #wantsRoom(): boolean {
    if (this.#failures.last) return false;
    const { bound, high, low } = this.#limits;
    const remaining = this.#blocks.footprint - this.flights.byteLength;
    const need = this.#appends.first?.need;
    if (need !== undefined && remaining + need > bound) return true;
    if (this.#quiet > 0) return false;
    if (remaining > high) this.#draining = true;
    else if (remaining <= low) this.#draining = false;
    return this.#draining;
  }

  async #spill({ batch, job }: Spill): Promise<void> {
    const failure = await this.flights.write(batch);
    this.flights.land(batch, failure);
    const isFlush = failure !== undefined && job !== undefined && this.#jobs.delete(job);
    this.#failures.landed(failure, isFlush);
    if (failure) {
      this.#draining = false;
      this.#stats.refused(failure.error);
      if (isFlush) job.reject(failure.error);
    }
    this.#afterLanding();
  }

  #afterLanding(): void {
    this.#pump();
    this.#landings.resolveAll();
    this.#ends.resolveAll();
  }
}

interface WaitingAppend {
  readonly batch: Batch;
  /** Bytes of memory that it needs. */
  readonly need: number;
  /** Whether the caller gives its arrays away. */
  readonly owned: boolean | undefined;
}

/** A batch to be spilled, and the flush that it belongs to. */
interface Spill {
  readonly batch: SpillBatch;
  readonly job: FlushJob | undefined;
}

/** An upper bound of a batch's cost, without looking up its keys; exceeded only by very long keys. */
function roughCost(batch: Batch): number {
  return batch.byteLength + 1024 * batch.keys.length;
}
