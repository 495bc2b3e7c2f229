import { randomBytes } from "node:crypto";
import { PartdError } from "@partd/core";
import type { ListedObject } from "../client.js";
import { hex, LOCK, strangeObject } from "../format/names.js";
import { type Requests, sleep } from "../objects/requests.js";

/**
 * The lock of a data set, as objects. A store takes it by creating `lock/<epoch>` with
 * If-None-Match, and rewrites that object while it holds the lock; `lock/<epoch>.free` says that it
 * gave the lock back. The highest epoch counts. A holder whose object does not change for
 * `leaseMs`, by the watcher's clock, is passed over: no two clocks are compared.
 */
export class DataSetLock {
  readonly #requests: Requests;
  readonly #folder: string;
  readonly #leaseMs: number;
  readonly #timeoutMs: number;
  /** The holder as last seen, and since when its object has not changed. */
  #watched = { epoch: 0, etag: "", since: 0 };
  #isChecked = false;

  constructor(
    requests: Requests,
    folder: string,
    options: { readonly leaseMs: number; readonly lockTimeoutMs: number },
  ) {
    this.#requests = requests;
    this.#folder = `${folder}${LOCK}`;
    this.#leaseMs = options.leaseMs;
    this.#timeoutMs = options.lockTimeoutMs;
  }

  /**
   * Waits until the lock is free or its holder is to be passed over, and creates the next epoch.
   * The caller must then list the locks, and holds the lock if its epoch is that of the
   * {@link LockState}.
   */
  async claim(signal: AbortSignal | undefined): Promise<Claim> {
    const wait = new Wait(this.#timeoutMs, this.#folder);
    for (;;) {
      const state = this.state(await this.#list(signal));
      if (state.isFree || this.#isStale(state)) {
        const claim = new Claim(this.#requests, this.#folder, state.epoch + 1, this.#leaseMs);
        if (await this.#make(claim, signal)) {
          claim.renew();
          return claim;
        }
      }
      await wait.next(signal);
    }
  }

  /**
   * Resolves with `true` when the lock is free, or with `false` when its holder is to be passed
   * over.
   */
  async whenFree(signal: AbortSignal | undefined): Promise<boolean> {
    const wait = new Wait(this.#timeoutMs, this.#folder);
    for (;;) {
      const state = this.state(await this.#list(signal));
      if (state.isFree) return true;
      if (this.#isStale(state)) return false;
      await wait.next(signal);
    }
  }

  /** Whether no one has taken the lock since this epoch. */
  async isCurrent(epoch: number): Promise<boolean> {
    return this.state(await this.#list(undefined)).epoch === epoch;
  }

  /** @param objects a listing that includes the locks. */
  state(objects: readonly ListedObject[]): LockState {
    let state: LockState = { epoch: 0, etag: "", isFree: true, older: [], abandoned: [] };
    for (const { key, etag } of objects) {
      if (!key.startsWith(this.#folder)) continue;
      const match = /^([0-9a-f]{8})(\.free)?$/.exec(key.slice(this.#folder.length));
      if (!match) throw strangeObject(key);
      const epoch = Number.parseInt(match[1] as string, 16);
      if (match[2]) {
        if (epoch === state.epoch) state = { ...state, isFree: true };
        else state.older.push(key); // It belongs to an epoch whose lock is gone.
        continue;
      }
      if (!state.isFree) state.abandoned.push(state.epoch);
      if (state.epoch > 0) {
        const before = `${this.#folder}${hex(state.epoch, 8)}`;
        state.older.push(before);
        if (state.isFree) state.older.push(`${before}.free`);
      }
      state = { ...state, epoch, etag, isFree: false };
    }
    return state;
  }

  /** @returns whether we created it, and no one else. */
  async #make(claim: Claim, signal: AbortSignal | undefined): Promise<boolean> {
    const { key, body } = claim;
    if (!(await this.#requests.create(key, body, signal))) {
      // It may be our own object, from an attempt whose reply was lost.
      const there = await this.#requests.read(key, 0, body.length, signal).catch(() => undefined);
      if (!there || !body.equals(there)) return false;
    }
    if (this.#isChecked) return true;
    if (await this.#requests.create(key, body, signal)) {
      await claim.withdraw().catch(() => {}); // Others would wait for it.
      throw new PartdError(
        "ERR_PARTD_IO",
        `The server replaced ${key} in spite of If-None-Match, without which there is no lock; use a server that honours it.`,
        { address: key },
      );
    }
    this.#isChecked = true;
    return true;
  }

  async #list(signal: AbortSignal | undefined): Promise<ListedObject[]> {
    return (await this.#requests.list(this.#folder, { signal })).objects;
  }

  #isStale({ epoch, etag }: LockState): boolean {
    const now = performance.now();
    const watched = this.#watched;
    if (watched.epoch !== epoch || watched.etag !== etag) {
      this.#watched = { epoch, etag, since: now };
      return false;
    }
    return now - watched.since >= this.#leaseMs;
  }
}

export interface LockState {
  /** The highest epoch; 0 if the lock was never taken. */
  readonly epoch: number;
  readonly etag: string;
  readonly isFree: boolean;
  /** Objects of lower epochs, which can go once {@link abandoned} epochs are settled. */
  readonly older: string[];
  /** Lower epochs that were not given back. */
  readonly abandoned: number[];
}

/** An epoch of the lock that this process created. */
export class Claim {
  readonly epoch: number;
  readonly key: string;
  readonly body: Buffer;
  readonly #requests: Requests;
  #timer: NodeJS.Timeout | undefined;
  #renewal: Promise<void> | undefined;
  #renewals = 0;
  #renewed = now();
  readonly #leaseMs: number;

  constructor(requests: Requests, folder: string, epoch: number, leaseMs: number) {
    this.#requests = requests;
    this.#leaseMs = leaseMs;
    this.epoch = epoch;
    this.key = `${folder}${hex(epoch, 8)}`;
    this.body = Buffer.from(randomBytes(16).toString("hex"));
  }

  /** Whether it was renewed so recently that no one can have passed it over, by either clock. */
  get isFresh(): boolean {
    const { monotonic, wall } = this.#renewed;
    const passed = Math.max(performance.now() - monotonic, Date.now() - wall);
    return passed < this.#leaseMs / 2;
  }

  /** Begins to renew it at intervals. */
  renew(): void {
    this.#timer = setInterval(() => {
      const since = now();
      this.#renewal ??= this.#requests
        .write(this.key, Buffer.concat([this.body, Buffer.from(`-${++this.#renewals}`)]))
        .then(() => {
          this.#renewed = since;
        })
        // The next renewal may succeed; if none does, another store takes the lock.
        .catch(() => {})
        .finally(() => {
          this.#renewal = undefined;
        });
    }, this.#leaseMs / 4).unref();
  }

  /** Stops renewing. The lock is then passed over in time. */
  async abandon(): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewal;
  }

  async giveBack(): Promise<void> {
    await this.abandon();
    await this.#requests.write(`${this.key}.free`, this.body);
  }

  /** Removes an epoch that does not count, because a higher one was created before. */
  async withdraw(): Promise<void> {
    await this.abandon();
    await this.#requests.delete([this.key]);
  }
}

/** Both clocks: one may stop while the machine sleeps, and the other may be set. */
function now(): { readonly monotonic: number; readonly wall: number } {
  return { monotonic: performance.now(), wall: Date.now() };
}

/** Waits between looks, longer each time, up to a limit. */
class Wait {
  readonly #since = performance.now();
  readonly #timeoutMs: number;
  readonly #address: string;
  #longest = FIRST_WAIT;

  constructor(timeoutMs: number, address: string) {
    this.#timeoutMs = timeoutMs;
    this.#address = address;
  }

  async next(signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() - this.#since > this.#timeoutMs) {
      throw new PartdError(
        "ERR_PARTD_LOCK",
        `The lock ${this.#address} was held by others for more than ${this.#timeoutMs} ms; raise lockTimeoutMs, or look for a withLock that does not end.`,
        { address: this.#address },
      );
    }
    await sleep(this.#longest * (0.5 + Math.random() / 2), signal);
    this.#longest = Math.min(LONGEST_WAIT, this.#longest * 1.5);
  }
}

const FIRST_WAIT = 10;
const LONGEST_WAIT = 1000;
