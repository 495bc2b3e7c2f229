import { Dict, type Key, type Store } from "@partd/core";
import { fail, show } from "./check.js";
import type { CodecContractOptions } from "./codec-contract.js";
import { type ContractCase, withDataSet } from "./contract.js";

/** A codec under test. */
export interface CodecSubject<V> {
  readonly wrap: (store: Store) => Store<V>;
  readonly samples: readonly V[];
  readonly options: CodecContractOptions<V>;
  readonly join: (values: V[]) => V;
  readonly equal: (a: V, b: V) => boolean;
}

/** What a case of the codec contract works with. */
export interface CodecSession<V> extends CodecSubject<V> {
  /** The store of the codec's values, over `lower`. */
  readonly store: Store<V>;
  /** The store of the encoded bytes. */
  readonly lower: Dict;
  /** Makes another such pair. */
  fresh(): { readonly store: Store<V>; readonly lower: Dict };
  /** Fails unless the two values are the same. */
  same(actual: V, expected: V, what: string): void;
}

export interface CodecCase<V> {
  readonly name: string;
  readonly when?: (options: CodecContractOptions<V>) => boolean | undefined;
  readonly run: (session: CodecSession<V>) => Promise<void>;
}

export function bindCodecCase<V>(
  { name, run }: CodecCase<V>,
  subject: CodecSubject<V>,
): ContractCase {
  return { name, run: () => withCodec(subject, run) };
}

export function withCodec<V>(
  subject: CodecSubject<V>,
  body: (session: CodecSession<V>) => Promise<void>,
): Promise<void> {
  return withDataSet(async (_, opened) => {
    const fresh = () => {
      const lower = new Dict();
      const store = subject.wrap(lower);
      opened(store);
      return { store, lower };
    };
    const same = (actual: V, expected: V, what: string) => {
      if (subject.equal(actual, expected)) return;
      fail(`${what}: expected ${show(expected)}, got ${show(actual)}`);
    };
    await body({ ...subject, ...fresh(), fresh, same });
  });
}

/** Everything that a store holds, by encoded key: shows whether anything has changed. */
export async function snapshot(store: Dict): Promise<Map<string, Uint8Array>> {
  const keys: Key[] = [];
  for await (const key of store.keys()) keys.push(key);
  const values = await store.get(keys);
  return new Map(
    keys
      .map((key, i) => [String(key), values[i] as Uint8Array] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
