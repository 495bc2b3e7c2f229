import { PartdError } from "@partd/core";
import { Pace, unlessAborted } from "@partd/core/author";
import type { ListedObject } from "../client.js";
import { Cover } from "../format/cover.js";
import { indexWriter } from "../format/index-object.js";
import { commitOrder, hex, INDEX, LOST, PART, strangeObject } from "../format/names.js";
import type { Tail } from "../format/tail.js";
import { isMissing, missing } from "../objects/failure.js";
import type { Requests } from "../objects/requests.js";
import { Indexes } from "./indexes.js";
import { type Claim, DataSetLock, type LockState } from "./lock.js";
import { isTooLate, Segment } from "./segment.js";
import { Removals, Tails } from "./tails.js";

export interface DataSetOptions {
  /** Whether each read looks for others' commits. */
  readonly fresh: boolean;
  readonly leaseMs: number;
  readonly lockTimeoutMs: number;
  readonly indexMemory: number;
}

/** The objects of a data set, as this process knows them. */
export class DataSet {
  readonly requests: Requests;
  /** The beginning of all objects' names. */
  readonly folder: string;
  readonly tails: Tails;
  readonly indexes: Indexes;
  /** The segments that count, in commit order. */
  segments: readonly Segment[] = [];
  removals = new Removals();
  readonly #lock: DataSetLock;
  readonly #fresh: boolean;
  readonly #known = new Map<string, Segment>();
  /** For each epoch whose holder was passed over, the commits that count. */
  readonly #lost = new Map<number, Cover>();
  #claim: Claim | undefined;
  #isListed = false;
  #isSealed = false;
  #reloading: Promise<void> | undefined;
  #nextReload: Promise<void> | undefined;
  /** Counts listings. */
  #listings = 0;
  /** The last listing adopted. */
  #adopted = 0;
  /**
   * This store's commits, each with the last listing begun before it: that one and earlier ones may
   * lack it.
   */
  readonly #added = new Map<Segment, number>();
  #lastEpoch = -1;
  #lastStamp = 0;

  constructor(requests: Requests, folder: string, options: DataSetOptions) {
    this.requests = requests;
    this.folder = folder;
    this.tails = new Tails(requests, options.indexMemory / 2);
    this.indexes = new Indexes(requests, folder, options.indexMemory / 2);
    this.#lock = new DataSetLock(requests, folder, options);
    this.#fresh = options.fresh;
  }

  /** The epoch of the lock that this store holds; 0 for none. */
  get epoch(): number {
    return this.#claim?.epoch ?? 0;
  }

  /** The latest stamp of any commit seen. */
  get lastStamp(): number {
    return this.#lastStamp;
  }

  /** Looks for others' commits, after waiting for their locks. */
  async refresh(signal?: AbortSignal): Promise<void> {
    if (this.#claim) return this.#checkLock(this.#claim);
    if (this.#isListed && (this.#isSealed || !this.#fresh)) return;
    await this.reload(signal);
  }

  /** Looks for others' commits in any case. Callers during a listing share the next one. */
  async reload(signal?: AbortSignal): Promise<void> {
    this.#nextReload ??= (this.#reloading ?? Promise.resolve())
      .catch(() => {})
      .then(() => {
        this.#reloading = this.#nextReload;
        this.#nextReload = undefined;
        return this.#reload();
      });
    await unlessAborted(this.#nextReload, signal);
  }

  async #reload(): Promise<void> {
    for (;;) {
      const listing = await this.#list();
      if (listing.state.isFree) return this.#adopt(listing);
      await this.whenFree();
    }
  }

  /** Looks once more; later reads do not look again. */
  async seal(signal?: AbortSignal): Promise<void> {
    await this.reload(signal);
    this.#isSealed = true;
  }

  /** Waits until no other store holds the lock, and takes it over from a dead holder. */
  async whenFree(signal?: AbortSignal): Promise<void> {
    while (!(await this.#lock.whenFree(signal))) {
      const claim = await this.#take(signal);
      await claim.giveBack();
    }
  }

  /** Call this before a commit: waits while others hold the lock, unless `fresh` is false. */
  async beforeCommit(): Promise<void> {
    if (this.#claim || (!this.#fresh && this.#isListed)) return;
    await this.whenFree();
  }

  /**
   * Call this after a commit under a lock.
   *
   * @throws `ERR_PARTD_LOCK` if it came too late to count.
   */
  async afterCommit(segment: Segment): Promise<void> {
    const claim = this.#claim;
    if (!claim || (await this.#lock.isCurrent(claim.epoch))) return;
    await this.#readLost((await this.#list()).objects);
    const seen = this.#lost.get(claim.epoch);
    if (!seen?.has(segment)) throw lockWasLost(this.folder);
  }

  /** Adds a commit of this store, which is seen without a listing. */
  add(segment: Segment, tail: Tail): void {
    this.#known.set(segment.key, segment);
    this.#lastStamp = Math.max(this.#lastStamp, segment.stamp);
    this.#isSealed = false;
    this.#added.set(segment, this.#listings);
    this.tails.keep(segment, tail);
    if (!this.#isListed) return;
    if (segment.kind !== "add" && !this.removals.has(segment)) this.removals.add(segment, tail);
    const last = this.segments.at(-1);
    const isNext = segment.kind === "add" && (!last || commitOrder(last, segment) < 0);
    const others = isNext ? this.segments : this.segments.filter((one) => one !== segment);
    const segments = [...others, segment]; // A new array: readers keep the old one.
    this.segments = isNext ? segments : this.#counting(segments);
  }

  /** Runs `critical` under the lock. What it sees is fixed meanwhile. */
  async exclusive<T>(critical: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const claim = await this.#take(signal);
    this.#claim = claim;
    try {
      return await critical();
    } finally {
      this.#claim = undefined;
      await claim.giveBack().catch(() => {}); // If that fails, the lock is passed over in time.
    }
  }

  /** Lists everything under the prefix, also objects of no commit. */
  async listAll(signal?: AbortSignal): Promise<ListedObject[]> {
    return (await this.requests.list(this.folder, { signal })).objects;
  }

  /** Lists again under the lock, after this store has removed objects. */
  async reloadUnderLock(): Promise<void> {
    await this.#adopt(await this.#list());
  }

  /** Runs `read`, and again if the data set was dropped meanwhile. */
  async reading<T>(read: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await read();
      } catch (error) {
        if (!isMissing(error) || this.#claim || attempt === READ_ATTEMPTS) throw error;
        await this.reload(signal);
      }
    }
  }

  /** Takes the lock as a new epoch, and settles earlier epochs that were not given back. */
  async #take(signal: AbortSignal | undefined): Promise<Claim> {
    for (;;) {
      const claim = await this.#lock.claim(signal);
      try {
        const listing = await this.#list();
        const { objects, state } = listing;
        if (state.epoch !== claim.epoch) {
          await claim.withdraw();
          continue;
        }
        for (const epoch of state.abandoned) await this.#recordCounting(epoch, objects);
        await this.#adopt(listing);
        if (state.older.length > 0) await this.requests.delete(state.older);
        return claim;
      } catch (error) {
        // Do not give it back: the next holder has to settle it, too.
        await claim.abandon();
        throw error;
      }
    }
  }

  /** Records which commits of a passed-over holder count: those that are listed now. */
  async #recordCounting(epoch: number, objects: readonly ListedObject[]): Promise<void> {
    const all = await this.#segmentsOf(objects);
    const segments = all.filter((segment) => segment.epoch === epoch);
    const name = `${this.folder}${LOST}${hex(epoch, 8)}`;
    await this.requests.create(name, Cover.of(segments).toObject());
    const { objects: lost } = await this.requests.list(`${this.folder}${LOST}`);
    await this.#readLost(lost);
  }

  /**
   * Lists all objects except parts. A listing of several pages is not of one moment, so it is
   * repeated if the lock changed hands meanwhile.
   */
  async #list(): Promise<Listing> {
    for (;;) {
      const number = ++this.#listings;
      const until = `${this.folder}${PART}`;
      const { objects, pages } = await this.requests.list(this.folder, { until });
      const state = this.#lock.state(objects);
      const isOne = pages === 1 || state.epoch === this.#lastEpoch;
      this.#lastEpoch = state.epoch;
      if (isOne) return { number, objects, state };
    }
  }

  async #adopt({ number, objects }: Listing): Promise<void> {
    await this.#readLost(objects);
    const isThere = new Set(await this.#segmentsOf(objects));
    for (const [segment, listing] of this.#added) {
      if (listing >= number) isThere.add(segment);
    }
    const segments = [...isThere];
    const removals = await this.#removalsOf(segments.filter(({ kind }) => kind !== "add"));
    if (number < this.#adopted) return; // A later listing was adopted first.
    this.#adopted = number;
    for (const [segment, listing] of this.#added) {
      if (listing < number) this.#added.delete(segment);
    }
    for (const [key, segment] of this.#known) {
      if (isThere.has(segment)) continue;
      this.#known.delete(key);
      this.tails.forget(segment);
    }
    this.indexes.set(objects.filter(({ key }) => key.startsWith(INDEX, this.folder.length)));
    this.removals = removals;
    this.segments = this.#counting(segments);
    this.#isListed = true;
  }

  async #removalsOf(segments: readonly Segment[]): Promise<Removals> {
    const counting = segments.filter((segment) => !isTooLate(segment, this.#lost));
    const known = counting.filter((segment) => this.removals.has(segment));
    const removals = known.length === this.removals.count ? this.removals : new Removals();
    const fresh = counting.filter((segment) => !removals.has(segment));
    const tails = await Promise.all(fresh.map((segment) => this.tails.of(segment)));
    fresh.forEach((segment, i) => {
      if (!removals.has(segment)) removals.add(segment, tails[i] as Tail);
    });
    return removals;
  }

  /** The segments that count, in commit order. */
  #counting(segments: readonly Segment[]): Segment[] {
    return segments
      .filter((one) => !isTooLate(one, this.#lost) && !this.removals.isAllRemoved(one))
      .sort(commitOrder);
  }

  async #segmentsOf(objects: readonly ListedObject[]): Promise<Segment[]> {
    const segments: Segment[] = [];
    const pace = new Pace();
    for (const { key, size } of objects) {
      if (!Segment.isIn(this.folder, key)) {
        this.#checkName(key);
        continue;
      }
      const known = this.#known.get(key);
      const segment = known?.size === size ? known : Segment.parse(this.folder, key, size);
      if (!segment) throw strangeObject(key);
      this.#known.set(key, segment);
      this.#lastStamp = Math.max(this.#lastStamp, segment.stamp);
      segments.push(segment);
      if (pace.due) await pace.rest();
    }
    return segments;
  }

  /** Checks names in our folders. Other folders are not checked. */
  #checkName(key: string): void {
    const name = key.slice(this.folder.length);
    if (name.startsWith(INDEX) && !indexWriter(name)) throw strangeObject(key);
    if (name.startsWith(LOST) && !/^lost\/[0-9a-f]{8}$/.test(name)) throw strangeObject(key);
  }

  async #readLost(objects: readonly ListedObject[]): Promise<void> {
    const folder = `${this.folder}${LOST}`;
    for (const { key, size } of objects) {
      if (!key.startsWith(folder)) continue;
      const epoch = Number.parseInt(key.slice(folder.length), 16);
      if (this.#lost.has(epoch)) continue;
      const bytes = await this.requests.read(key, 0, size);
      if (!bytes) throw missing(key);
      try {
        this.#lost.set(epoch, Cover.ofObject(Buffer.from(bytes)));
      } catch (cause) {
        throw new PartdError(
          "ERR_PARTD_CORRUPT",
          `${key} is damaged, which says what counts of a holder that lost the lock: remove the objects of the data set, and write it again.`,
          { address: key, cause },
        );
      }
    }
  }

  async #checkLock(claim: Claim): Promise<void> {
    if (claim.isFresh) return;
    if (!(await this.#lock.isCurrent(claim.epoch))) throw lockWasLost(this.folder);
  }
}

interface Listing {
  readonly number: number;
  readonly objects: readonly ListedObject[];
  readonly state: LockState;
}

/** Attempts of a read when the data set is dropped meanwhile. */
const READ_ATTEMPTS = 3;

function lockWasLost(folder: string): PartdError {
  return new PartdError(
    "ERR_PARTD_LOCK",
    `The lock of ${folder} was taken over by another store, because this one gave no sign of life for leaseMs; what it wrote since does not count.`,
    { address: folder },
  );
}
