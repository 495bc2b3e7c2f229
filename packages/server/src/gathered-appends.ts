import { BatchEntries, isPartdError, type PartdError, type Store } from "@partd/core";
import type { Census, CountedKey } from "./census.js";
import type { RequestBody } from "./request-body.js";
import type { Outcome } from "./session.js";

/** Appends that are no longer than this together become one; what is longer gains nothing. */
const TOGETHER_BYTES = 65_536;

/**
 * Neighbouring appends of one message, carried out as one append of the store: for small ones, an
 * operation of the store each would be most of the work. Each keeps an outcome of its own.
 */
export class GatheredAppends {
  readonly appends: GatheredAppend[] = [];
  #byteLength = 0;

  /** Whether `body` may come after what there is, which is then to be carried out first if not. */
  takes(body: RequestBody): boolean {
    return this.appends.length === 0 || this.#byteLength + body.byteLength <= TOGETHER_BYTES;
  }

  add(append: GatheredAppend): void {
    this.appends.push(append);
    this.#byteLength += append.body.byteLength;
  }

  /** Appends all, and notes in each outcome what became of it. Never rejects. */
  async carryOut(store: Store, census: Census): Promise<void> {
    const { appends } = this;
    const all = appends.length === 1 ? (appends[0] as GatheredAppend).body : joined(appends);
    try {
      await append(store, all);
      count(census, all);
    } catch (error) {
      if (appends.length > 1 && isOfOne(error)) await this.#oneByOne(store, census);
      else for (const { outcome } of appends) outcome.error = error as PartdError;
    }
  }

  /** Nothing was appended, because of one of them: the others are not to suffer from it. */
  async #oneByOne(store: Store, census: Census): Promise<void> {
    await Promise.all(
      this.appends.map(async ({ body, outcome }) => {
        try {
          await append(store, body);
          count(census, body);
        } catch (error) {
          outcome.error = error as PartdError;
        }
      }),
    );
  }
}

/** An append that was asked for. */
export interface GatheredAppend {
  readonly number: number;
  readonly body: RequestBody;
  readonly outcome: Outcome;
}

function append(store: Store, { keys, values, byteLength }: RequestBody): Promise<void> {
  const texts = keys.map(({ text }) => text);
  return store.append(new BatchEntries({ keys: texts, values, byteLength }));
}

function count(census: Census, { keys, values }: RequestBody): void {
  for (let i = 0; i < keys.length; i++) {
    census.appended(keys[i] as CountedKey, (values[i] as Uint8Array).byteLength);
  }
}

function joined(appends: readonly GatheredAppend[]): RequestBody {
  const keys: CountedKey[] = [];
  const values: Uint8Array[] = [];
  let byteLength = 0;
  for (const { body } of appends) {
    for (let i = 0; i < body.keys.length; i++) {
      keys.push(body.keys[i] as CountedKey);
      values.push(body.values[i] as Uint8Array);
    }
    byteLength += body.byteLength;
  }
  return { keys, values, byteLength, credit: 0 };
}

/** Whether the error is about a key or value: a store that is full, closed or broken is so for all. */
function isOfOne(error: unknown): boolean {
  return isPartdError(error, "ERR_PARTD_KEY") || isPartdError(error, "ERR_PARTD_VALUE");
}
