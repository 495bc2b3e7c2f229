import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { type OperationOptions, PartdError } from "@partd/core";
import { unlessAborted } from "@partd/core/author";
import type { BucketNames } from "./data-set.js";
import { Script } from "./scripts/script.js";
import { lockTimeout, type Session } from "./session.js";

/**
 * The lock of a data set: a lease of every bucket. The first bucket decides who has the lock; the
 * others are taken after it, so that there is no deadlock. Every script compares the token, so that
 * a holder whose lease has expired changes nothing more, even unawares.
 */
export class DataSetLock {
  readonly #session: Session;
  readonly #milliseconds: number;
  #lost: PartdError | undefined;

  /** @param milliseconds without a renewal, after which others may take the lock. */
  constructor(session: Session, milliseconds: number) {
    this.#session = session;
    this.#milliseconds = milliseconds;
  }

  /** @throws what `critical` throws; `ERR_PARTD_LOCK` if the lock cannot be had or was lost. */
  async hold<T>(critical: () => Promise<T>, options: OperationOptions): Promise<T> {
    const token = `${hostname()}:${process.pid}:${randomBytes(9).toString("base64url")}`;
    const { buckets } = this.#session;
    this.#lost = undefined;
    const [first, ...others] = buckets as [BucketNames, ...BucketNames[]];
    try {
      await this.#acquire(first, token, options);
      await Promise.all(others.map((bucket) => this.#acquire(bucket, token, options)));
    } catch (error) {
      await this.#release(token);
      throw error;
    }
    this.#session.fence(token);
    const timer = setInterval(() => void this.#renew(token), this.#milliseconds / 3);
    try {
      const answer = await critical();
      if (this.#lost) throw this.#lost;
      return answer;
    } finally {
      clearInterval(timer);
      this.#session.fence("");
      await this.#release(token);
    }
  }

  async #acquire(bucket: BucketNames, token: string, options: OperationOptions): Promise<void> {
    const { connection, limits } = this.#session;
    const args = [token, String(this.#milliseconds)];
    const since = performance.now();
    for (;;) {
      const acquire = () => ACQUIRE.run(connection, [bucket.lock], args);
      const holder = String(await this.#session.retry(acquire, options));
      if (holder === "") return;
      if (performance.now() - since >= limits.lockTimeoutMs) {
        throw lockTimeout(holder, limits.lockTimeoutMs);
      }
      await unlessAborted(delay(5 + 20 * Math.random()), options.signal);
    }
  }

  async #renew(token: string): Promise<void> {
    const { buckets, connection } = this.#session;
    const args = [token, String(this.#milliseconds)];
    const renewals = buckets.map(async ({ lock }) => {
      if ((await RENEW.run(connection, [lock], args)) === 1) return;
      this.#lost ??= new PartdError(
        "ERR_PARTD_LOCK",
        `The store's lock was lost: it was not renewed for ${this.#milliseconds} ms, or the server lost it.`,
      );
    });
    await Promise.allSettled(renewals); // A failed renewal is repeated before the lease expires.
  }

  /** Releases the lease in every bucket. Where that fails, it expires. */
  async #release(token: string): Promise<void> {
    const { buckets, connection } = this.#session;
    await Promise.allSettled(buckets.map(({ lock }) => RELEASE.run(connection, [lock], [token])));
  }
}

// Scripts of the lock. KEYS: lock. ARGV: the token, milliseconds.

/**
 * Returns "" if the lock was taken, or the holder's token. A server without memory refuses only a
 * script's first write, and never DEL: the lock can be taken to make room.
 */
const ACQUIRE = new Script(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''`);

/** Returns 1 while the lock is ours. */
const RENEW = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

const RELEASE = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`);
