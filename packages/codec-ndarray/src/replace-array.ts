import type { Key } from "@partd/core";
import type { AppendOptions, LowerStore } from "@partd/core/author";
import type { Dtype } from "./dtype.js";
import { dtypeEntry, dtypeKey } from "./dtype-key.js";

/** Sets a key to one array. Call this under the store's lock. */
export async function replaceArray(
  store: LowerStore,
  { key, dtype, bytes }: { readonly key: Key; readonly dtype: Dtype; readonly bytes: Uint8Array },
  options?: AppendOptions,
): Promise<void> {
  const both = [key, dtypeKey(key)];
  const stored = await store.get(dtypeKey(key), options);
  const batch = bytes.byteLength > 0 ? [dtypeEntry(key, dtype), [key, bytes] as const] : [];
  if (batch.length > 0 && utf8.decode(stored) === dtype.text) {
    return store.iset(key, bytes, { ...options, replace: true });
  }
  const before = await store.get(both, options);
  try {
    if (before.some(({ byteLength }) => byteLength > 0)) await store.delete(both, options);
    await store.append(batch, options);
  } catch (error) {
    await putBack(store, both, before).catch(() => {}); // The first error says more.
    throw error;
  }
}

/** Appends the values that are gone. It takes no signal, so that it cannot be aborted. */
async function putBack(store: LowerStore, keys: readonly Key[], before: readonly Uint8Array[]) {
  const now = await store.get(keys);
  const gone = keys.flatMap((key, i) =>
    now[i]?.byteLength === 0 ? [[key, before[i] as Uint8Array] as const] : [],
  );
  await store.append(gone);
}

const utf8 = new TextDecoder();
