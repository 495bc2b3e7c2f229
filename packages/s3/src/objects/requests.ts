import { isPartdError, PartdError } from "@partd/core";
import { isBytes, onAbort, Semaphore } from "@partd/core/author";
import type { ListedObject, ListPage, ObjectClient } from "../client.js";
import { contradiction, failureOf, requestError } from "./failure.js";

interface RequestsOptions {
  readonly bucket: string;
  /** The most attempts of a request. */
  readonly attempts: number;
  /** Milliseconds after which an attempt is given up. */
  readonly timeoutMs: number;
  /** Concurrent reads. */
  readonly readConcurrency: number;
}

/** Requests made, including repetitions. */
export interface RequestCounts {
  readonly put: number;
  readonly get: number;
  readonly list: number;
  readonly delete: number;
}

/**
 * A store's requests. Each is repeated, after growing random waits, until its outcome is known. So
 * an unconditional PUT may be carried out several times, and a conditional one may find its own
 * object.
 */
export class Requests {
  readonly counts = { put: 0, get: 0, list: 0, delete: 0 };
  readonly #client: ObjectClient;
  readonly #options: RequestsOptions;
  readonly #reading: Semaphore;
  readonly #abandoned = new WeakSet<ArrayBufferLike>();

  constructor(client: ObjectClient, options: RequestsOptions) {
    this.#client = client;
    this.#options = options;
    this.#reading = new Semaphore(options.readConcurrency);
  }

  /** Creates the object, unless one of that name exists. @returns whether it was created. */
  async create(key: string, body: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    const { bucket } = this.#options;
    const made = await this.#repeat("put", "write", key, signal, async (signal) => {
      try {
        await this.#client.put({ bucket, key, body, ifNoneMatch: "*", signal });
      } catch (error) {
        this.#abandoned.add(body.buffer);
        throw error;
      }
      return true;
    });
    return made ?? false;
  }

  /** Whether a failed attempt to create an object may still send from the memory of its body. */
  isAbandoned({ buffer }: Uint8Array): boolean {
    return this.#abandoned.has(buffer);
  }

  /** Creates or replaces the object. */
  async write(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    const { bucket } = this.#options;
    await this.#repeat("put", "write", key, signal, (signal) =>
      this.#client.put({ bucket, key, body, signal }),
    );
  }

  /** The bytes from `start` up to `end`; undefined if the object does not exist. */
  async read(
    key: string,
    start: number,
    end: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    if (end - start > MOST_READ) {
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `${key} would describe values by ${end - start} bytes, more than a store writes: it is not an object of a data set. Remove it.`,
        { address: key },
      );
    }
    const bytes = Buffer.allocUnsafeSlow(end - start);
    const isThere = await this.readTo(key, start, end, (piece, at) => bytes.set(piece, at), signal);
    return isThere ? bytes : undefined;
  }

  /**
   * Passes the bytes from `start` up to `end` to `take` as they arrive, each piece with its distance
   * from `start`; from the beginning again if the request is repeated.
   *
   * @returns whether the object exists.
   */
  async readTo(
    key: string,
    start: number,
    end: number,
    take: (piece: Uint8Array, at: number) => void,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const { bucket } = this.#options;
    const length = end - start;
    if (length === 0) return true;
    const isThere = await this.#reading.run(() =>
      this.#repeat("get", "read", key, signal, async (signal) => {
        const answer = await this.#client.get({ bucket, key, start, end, signal });
        let got = 0;
        for await (const piece of piecesOf(answer)) {
          if (!isBytes(piece)) throw new Error(`the answer was ${typeof piece} instead of bytes`);
          if (piece.byteLength > length - got) {
            throw new Error(`the answer was more than ${length} bytes`);
          }
          take(piece, got);
          got += piece.byteLength;
        }
        if (got === length) return true;
        if (await this.#isShorter(key, end, signal)) throw contradiction(key);
        throw new Error(`the answer was ${got} bytes instead of ${length}`);
      }),
    );
    return isThere ?? false;
  }

  /**
   * Lists all objects whose names begin with `prefix`, in the order of their names.
   *
   * @param until a name after all wanted ones, where the listing may end.
   * @returns the objects, and the number of pages.
   */
  async list(
    prefix: string,
    { until, signal }: { readonly until?: string; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<{ objects: ListedObject[]; pages: number }> {
    const objects: ListedObject[] = [];
    for (let pages = 1; ; pages++) {
      const last = objects.at(-1)?.key;
      const page = await this.#page(prefix, last, signal);
      for (const object of page.objects) {
        if (until === undefined || object.key < until) objects.push(object);
      }
      const end = page.objects.at(-1)?.key;
      if (page.more && end === undefined) throw this.#endless(prefix);
      if (!page.more || (until !== undefined && (end as string) >= until)) {
        return { objects, pages };
      }
    }
  }

  async delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    const { bucket } = this.#options;
    for (let from = 0; from < keys.length; from += MOST_DELETED) {
      const some = keys.slice(from, from + MOST_DELETED);
      const what = some.length === 1 ? (some[0] as string) : `${some[0]} and others`;
      await this.#repeat("delete", "remove", what, signal, (signal) =>
        this.#client.delete({ bucket, keys: some, signal }),
      );
    }
  }

  /** Whether the object ends before `end`; false if that cannot be found out. */
  async #isShorter(key: string, end: number, signal: AbortSignal): Promise<boolean> {
    this.counts.list++;
    const request = { bucket: this.#options.bucket, prefix: key, signal };
    const { objects } = await this.#client.list(request).catch(() => ({ objects: [] }));
    return objects.some((one) => one.key === key && one.size < end);
  }

  async #page(
    prefix: string,
    startAfter: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ListPage> {
    const { bucket } = this.#options;
    const page = await this.#repeat("list", "list", prefix, signal, (signal) =>
      this.#client.list({ bucket, prefix, startAfter, signal }),
    );
    let before = startAfter ?? "";
    for (const { key, size } of page?.objects ?? []) {
      if (key > before && key.startsWith(prefix) && Number.isSafeInteger(size) && size >= 0) {
        before = key;
        continue;
      }
      throw new PartdError(
        "ERR_PARTD_PROTOCOL",
        `The listing of ${this.#address(prefix)} gives ${JSON.stringify(key)} behind ${JSON.stringify(before)}; the store needs a server that lists in the order of names (an S3 directory bucket does not).`,
        { address: this.#address(prefix) },
      );
    }
    return page ?? { objects: [], more: false };
  }

  /** @returns undefined if the object does not exist or, for a conditional PUT, exists. */
  async #repeat<T>(
    method: keyof RequestCounts,
    action: string,
    key: string,
    signal: AbortSignal | undefined,
    request: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      this.counts[method]++;
      const limit = new Limit(this.#options.timeoutMs, signal);
      try {
        return await request(limit.signal);
      } catch (error) {
        signal?.throwIfAborted();
        if (isPartdError(error)) throw error;
        const failure = failureOf(error);
        if (failure.outcome === "missing" && (method === "get" || method === "delete")) return;
        if (failure.outcome === "exists" && method === "put") return;
        const isLast = attempt >= this.#options.attempts;
        if (isLast || (failure.outcome !== "again" && failure.outcome !== "busy")) {
          throw requestError(action, this.#address(key), failure, error);
        }
        await sleep(backOff(attempt, failure.outcome === "busy"), signal);
      } finally {
        limit.end();
      }
    }
  }

  #endless(prefix: string): PartdError {
    const address = this.#address(prefix);
    return new PartdError(
      "ERR_PARTD_PROTOCOL",
      `The listing of ${address} says that more follows a page of nothing; the store needs a server that lists as S3 does.`,
      { address },
    );
  }

  #address(key: string): string {
    return `s3://${this.#options.bucket}/${key}`;
  }
}

/** @param answer what a client gave, which may be anything. */
function piecesOf(answer: unknown): AsyncIterable<unknown> | readonly unknown[] {
  const isStream = typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer;
  return isStream ? (answer as AsyncIterable<unknown>) : [answer];
}

/** The most bytes in one piece: what describes 16 million keys, a batch's most, is shorter. */
const MOST_READ = 2 ** 31;
/** The most names of one DeleteObjects. */
const MOST_DELETED = 1000;

/** A signal that aborts with another one or after a time. */
class Limit {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #forget: (() => void) | undefined;

  constructor(milliseconds: number, signal: AbortSignal | undefined) {
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Error(`no answer within ${milliseconds} ms`));
    }, milliseconds);
    this.#forget = signal && onAbort(signal, () => this.#controller.abort(signal.reason));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#forget?.();
  }
}

/**
 * Milliseconds before the next attempt: random from half to the whole of a doubling time, so that
 * many workers that failed at once do not all return at once.
 */
function backOff(attempt: number, isBusy: boolean): number {
  const longest = Math.min(LONGEST_WAIT, (isBusy ? 200 : 50) * 2 ** (attempt - 1));
  return longest * (0.5 + Math.random() / 2);
}

const LONGEST_WAIT = 10_000;

/** Waits; rejects if `signal` aborts. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    let forget = () => {};
    const timer = setTimeout(() => {
      forget();
      resolve();
    }, milliseconds);
    if (signal) {
      forget = onAbort(signal, () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    }
  });
}
