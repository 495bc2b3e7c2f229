import { isPartdError } from "@partd/core";
import { type Batch, BatchEntries, type LowerStore } from "@partd/core/author";
import { Type } from "../protocol/constants.js";
import type { Census, CountedKey } from "./census.js";
import { checkValues } from "./data-packets.js";
import type { RequestBody } from "./request-body.js";
import type { Outcome } from "./session.js";

/** The fields of a mutation. */
export interface Mutation {
  readonly type: number;
  readonly keys: readonly CountedKey[];
  /** Of APPEND and SET. */
  readonly batch: Batch;
}

/**
 * Carries out a mutation. Returns the values that POP removed.
 *
 * @param reserve called with the known length of those values before they are read; throws if there is
 *   no memory for them.
 */
export async function mutate(
  { type, keys, batch }: Mutation,
  store: LowerStore,
  census: Census,
  reserve: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<readonly Uint8Array[] | undefined> {
  switch (type) {
    case Type.APPEND: {
      await store.append(new BatchEntries(batch), { signal, owned: true });
      census.add(keys, batch.values);
      return undefined;
    }
    case Type.SET: {
      const [counted] = keys as [CountedKey];
      const [value] = batch.values as [Uint8Array];
      // The client knows which keys it has set, so the store must not refuse a second iset.
      await store.iset(counted.key, value, { signal, replace: true });
      census.setSize(counted, value.byteLength);
      return undefined;
    }
    case Type.DELETE: {
      await store.delete(
        keys.map(({ key }) => key),
        { signal },
      );
      for (const key of keys) census.setSize(key, 0);
      return undefined;
    }
    case Type.POP: {
      // The values have to be held whole, until the client has them.
      reserve(keys.reduce((sum, { bytes }) => sum + bytes, 0));
      const popped = await store.pop(
        keys.map(({ key }) => key),
        { signal },
      );
      for (const key of keys) census.setSize(key, 0);
      return checkValues("pop", popped, keys.length);
    }
    default:
      await store.drop({ signal });
      census.clear();
      return undefined;
  }
}

/** Gathers appends up to this many bytes; longer ones would gain nothing. */
const TOGETHER_BYTES = 65_536;

/**
 * Neighbouring appends of one message, carried out as one append of the store: with small appends, most
 * of the work would be one operation of the store for each. Each append has its own outcome.
 */
export class GatheredAppends {
  readonly appends: GatheredAppend[] = [];
  #byteLength = 0;

  /** Whether `body` still fits. If not, the caller first carries out these. */
  takes(body: RequestBody): boolean {
    return this.appends.length === 0 || this.#byteLength + body.batch.byteLength <= TOGETHER_BYTES;
  }

  add(append: GatheredAppend): void {
    this.appends.push(append);
    this.#byteLength += append.body.batch.byteLength;
  }

  /** Appends all of them. Never rejects. @returns the failure of each append that failed. */
  async carryOut(store: LowerStore, census: Census): Promise<readonly (Failure | undefined)[]> {
    const { appends } = this;
    const all = appends.length === 1 ? (appends[0] as GatheredAppend).body : joined(appends);
    try {
      await append(store, census, all);
      return [];
    } catch (error) {
      if (appends.length > 1 && isOfOne(error)) return this.#oneByOne(store, census);
      return appends.map(() => ({ error }));
    }
  }

  /** Tries each append by itself, because one of them made the store refuse all. */
  #oneByOne(store: LowerStore, census: Census): Promise<readonly (Failure | undefined)[]> {
    return Promise.all(
      this.appends.map(({ body }) =>
        append(store, census, body).then(
          () => undefined,
          (error: unknown) => ({ error }),
        ),
      ),
    );
  }
}

/** Why an append was not carried out. */
export interface Failure {
  readonly error: unknown;
}

/** An append as it was requested. */
export interface GatheredAppend {
  readonly number: number;
  readonly body: RequestBody;
  readonly outcome: Outcome;
}

async function append(
  store: LowerStore,
  census: Census,
  { keys, batch }: RequestBody,
): Promise<void> {
  await store.append(new BatchEntries(batch), { owned: true });
  census.add(keys, batch.values);
}

function joined(appends: readonly GatheredAppend[]): RequestBody {
  const keys: CountedKey[] = [];
  const texts: string[] = [];
  const values: Uint8Array[] = [];
  let byteLength = 0;
  for (const { body } of appends) {
    const { batch } = body;
    for (let i = 0; i < body.keys.length; i++) {
      keys.push(body.keys[i] as CountedKey);
      texts.push(batch.keys[i] as string);
      values.push(batch.values[i] as Uint8Array);
    }
    byteLength += batch.byteLength;
  }
  return { keys, batch: { keys: texts, values, byteLength }, credit: 0 };
}

/** Whether the error concerns one key or value. A full, closed or broken store fails all alike. */
function isOfOne(error: unknown): boolean {
  return isPartdError(error, "ERR_PARTD_KEY") || isPartdError(error, "ERR_PARTD_VALUE");
}
