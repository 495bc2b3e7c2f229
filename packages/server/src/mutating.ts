import { type Batch, BatchEntries, type LowerStore } from "@partd/core/author";
import type { Census, CountedKey } from "./census.js";
import { Type } from "./protocol.js";

/** The fields of a mutation. */
export interface Mutation {
  readonly type: number;
  readonly keys: readonly CountedKey[];
  /** Of APPEND and SET. */
  readonly batch: Batch;
}

/**
 * Carries a mutation out. The answer is the values that POP removed.
 *
 * @param keep is told how long these are, as far as is known, before they are read; throws if there
 *   is no memory for them.
 */
export async function mutate(
  { type, keys, batch }: Mutation,
  store: LowerStore,
  census: Census,
  keep: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<Uint8Array[] | undefined> {
  switch (type) {
    case Type.APPEND: {
      await store.append(new BatchEntries(batch), { signal, owned: true });
      census.appended(keys, batch.values);
      return undefined;
    }
    case Type.SET: {
      const [counted] = keys as [CountedKey];
      const [value] = batch.values as [Uint8Array];
      // The client remembers its isets; the store's own memory of them must not stand in the way.
      await store.iset(counted.key, value, { signal, replace: true });
      census.is(counted, value.byteLength);
      return undefined;
    }
    case Type.DELETE: {
      await store.delete(
        keys.map(({ key }) => key),
        { signal },
      );
      for (const key of keys) census.is(key, 0);
      return undefined;
    }
    case Type.POP: {
      // The values have to be held whole, and kept until the client has them.
      keep(keys.reduce((sum, { bytes }) => sum + bytes, 0));
      const popped = await store.pop(
        keys.map(({ key }) => key),
        { signal },
      );
      for (const key of keys) census.is(key, 0);
      return popped;
    }
    default:
      await store.drop({ signal });
      census.dropped();
      return undefined;
  }
}
