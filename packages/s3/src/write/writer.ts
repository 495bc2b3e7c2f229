import { randomBytes } from "node:crypto";
import { PartdError } from "@partd/core";
import { type Batch, changeOf, checkIntact, onAbort, Semaphore } from "@partd/core/author";
import type { DataSet } from "../data-set/data-set.js";
import type { Cover } from "../format/cover.js";
import { indexName, mergeTails } from "../format/index-object.js";
import { type CommitKind, LAST_STAMP } from "../format/names.js";
import type { Tail } from "../format/tail.js";
import { type Changes, type CommitOptions, commit, inKeyOrder, SpareBuffers } from "./commit.js";

export interface WriterOptions {
  /** The approximate bytes of values in an object. */
  readonly segmentBytes: number;
  /** Objects written at once. */
  readonly concurrency: number;
}

/**
 * Writes a store's commits. Appends that wait at the same time become one commit. While a commit is
 * under way, another begins only if it is worth an object by itself.
 */
export class Writer {
  readonly #dataSet: DataSet;
  readonly #options: WriterOptions;
  readonly #id = randomBytes(8).toString("hex");
  readonly #waiting = new Set<Pending>();
  #waitingBytes = 0;
  readonly #running = new Set<Promise<void>>();
  readonly #layingOut = new Semaphore(1);
  readonly #spares: SpareBuffers;
  #sequence = 0;
  /** The segments since the last index. */
  #described: { readonly sequence: number; readonly tail: Tail }[] = [];
  #describedBytes = 0;
  #indexes = 0;

  constructor(dataSet: DataSet, options: WriterOptions) {
    this.#dataSet = dataSet;
    this.#options = options;
    this.#spares = new SpareBuffers(options.concurrency);
  }

  append(batch: Batch, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { batch, signal, resolve, reject, forget: undefined };
      pending.forget = signal && onAbort(signal, () => this.#giveUp(pending));
      this.#waiting.add(pending);
      this.#waitingBytes += batch.byteLength;
      // In the next microtask, so that appends of this turn go together.
      queueMicrotask(() => this.#begin());
    });
  }

  /**
   * Removes keys from the commits in `cover` and gives them new values, in one commit.
   *
   * @param check throws if the values are no longer as they were.
   */
  async change(
    kind: CommitKind,
    changes: Changes,
    cover: Cover,
    check: () => void = () => {},
  ): Promise<void> {
    await this.#dataSet.beforeCommit();
    await this.#commit(kind, changes, cover, { check });
  }

  /**
   * Writes an index of the segments since the last one. It only saves requests: none is written for
   * a single segment, and a failure is ignored.
   */
  async writeIndex(): Promise<void> {
    const tails = this.#described;
    this.forgetIndex();
    if (tails.length < 2) return;
    tails.sort((a, b) => a.sequence - b.sequence);
    const index = await mergeTails(this.#id, tails);
    const { requests, folder } = this.#dataSet;
    const name = indexName(this.#id, ++this.#indexes);
    await requests.create(`${folder}${name}`, index).catch(() => {});
  }

  /** Forgets the segments written so far, because they were dropped. */
  forgetIndex(): void {
    this.#described = [];
    this.#describedBytes = 0;
  }

  /** Frees the memory that is kept for the next object. */
  freeMemory(): void {
    this.#spares.clear();
  }

  /** Resolves when no commit is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #begin(): void {
    const { segmentBytes, concurrency } = this.#options;
    while (this.#waiting.size > 0 && this.#running.size < concurrency) {
      if (this.#running.size > 0 && this.#waitingBytes < segmentBytes) return;
      const work = this.#write(this.#takeGroup()).finally(() => {
        this.#running.delete(work);
        this.#begin();
      });
      this.#running.add(work);
    }
  }

  #takeGroup(): Pending[] {
    const group: Pending[] = [];
    let byteLength = 0;
    for (const pending of this.#waiting) {
      byteLength += pending.batch.byteLength;
      if (group.length > 0 && byteLength > this.#options.segmentBytes) break;
      this.#waiting.delete(pending);
      this.#waitingBytes -= pending.batch.byteLength;
      group.push(pending);
    }
    return group;
  }

  /** Never rejects. */
  async #write(group: readonly Pending[]): Promise<void> {
    let left = group;
    try {
      await this.#dataSet.beforeCommit();
      for (;;) {
        left = left.filter((pending) => isWanted(pending));
        if (left.length === 0) return;
        const changes = await inKeyOrder(left.map(({ batch }) => batch));
        const signal = left.length === 1 ? left[0]?.signal : anyOf(left);
        let isChanged = false;
        const check = () => {
          isChanged = left.some(({ batch }) => changeOf(batch));
          if (isChanged) for (const { batch } of left) checkIntact(batch);
        };
        try {
          await this.#commit("add", changes, undefined, { signal, check });
          break;
        } catch (error) {
          // One was aborted or changed before it was written: write the others without it.
          if (!isChanged && (!signal?.aborted || error !== signal.reason)) throw error;
        }
      }
      for (const { resolve, forget } of left) {
        forget?.();
        resolve();
      }
    } catch (error) {
      for (const { reject, forget } of left) {
        forget?.();
        reject(error);
      }
    }
  }

  async #commit(
    kind: CommitKind,
    changes: Changes,
    cover: Cover | undefined,
    { signal, check }: Pick<CommitOptions, "signal" | "check">,
  ): Promise<void> {
    const { segmentBytes: partLength, concurrency } = this.#options;
    const id = {
      stamp: nextStamp(this.#dataSet.lastStamp),
      writer: this.#id,
      sequence: ++this.#sequence,
      epoch: this.#dataSet.epoch,
      kind,
    };
    const layingOut = this.#layingOut;
    const spares = this.#spares;
    const options = { cover, partLength, concurrency, layingOut, spares, signal, check };
    const tail = await commit(this.#dataSet, id, changes, options);
    if (kind !== "add") return; // Removals are read one by one in any case.
    this.#described.push({ sequence: id.sequence, tail });
    this.#describedBytes += tail.bytes.length;
    if (this.#describedBytes >= LARGEST_INDEX) await this.writeIndex();
  }

  /** Rejects at once. If the commit is under way, the append may or may not count. */
  #giveUp(pending: Pending): void {
    if (this.#waiting.delete(pending)) this.#waitingBytes -= pending.batch.byteLength;
    pending.reject(pending.signal?.reason);
  }
}

interface Pending {
  readonly batch: Batch;
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  forget: (() => void) | undefined;
}

/** Rejects an append whose buffers the caller has changed: a value without bytes would be left out. */
function isWanted({ batch, signal, reject, forget }: Pending): boolean {
  if (signal?.aborted) return false;
  const change = changeOf(batch);
  if (change === undefined) return true;
  forget?.();
  reject(change);
  return false;
}

/** Bytes of tails that are held in memory until an index is made of them. */
const LARGEST_INDEX = 16 * 2 ** 20;

/** A signal that aborts as soon as one of them does. */
function anyOf(group: readonly Pending[]): AbortSignal | undefined {
  const signals = new Set<AbortSignal>();
  for (const { signal } of group) if (signal) signals.add(signal);
  return signals.size === 0 ? undefined : AbortSignal.any([...signals]);
}

/** A stamp later than all known commits and all of this process. */
function nextStamp(seen: number): number {
  stamp = Math.max(stamp + 1, seen + 1, Date.now() * 1000);
  if (stamp <= LAST_STAMP) return stamp;
  throw new PartdError(
    "ERR_PARTD_CORRUPT",
    "The data set holds an object of the far future, behind which none can be ordered; drop it.",
  );
}

let stamp = 0;
