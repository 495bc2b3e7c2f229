import { Dict, type Key, type Store } from "@partd/core";
import type { Arbitrary } from "fast-check";
import { fail, show } from "../check.js";
import { type ContractCase, withDataSet } from "../contract.js";

/** What a codec carries and what it refuses. */
export interface CodecContractOptions<V> {
  /** Whether two values are the same. Default: structural equality of plain data, typed arrays, `Map`, `Set` and `Date`. */
  readonly equal?: ((a: V, b: V) => boolean) | undefined;
  /** Random values that the codec carries: adds property-based cases. */
  readonly arbitrary?: Arbitrary<V> | undefined;
  /** Values that the codec cannot carry. Each must be `ERR_PARTD_CODEC`. */
  readonly unencodable?: readonly unknown[] | undefined;
  /**
   * Whether values are lists of any items: adds items that cannot be read, such as an object whose
   * getter throws. Each must be `ERR_PARTD_CODEC` that names its place.
   */
  readonly anyItems?: boolean | undefined;
  /** Contents of frames that this codec never wrote. Each must be `ERR_PARTD_CORRUPT`. */
  readonly badBytes?: readonly Uint8Array[] | undefined;
  /**
   * Contents of frames that the codec refuses to decode for safety. Each must be `ERR_PARTD_CODEC`.
   */
  readonly refusedBytes?: readonly Uint8Array[] | undefined;
  /**
   * The value that several appended ones read back as. Default: lists or bytes end to end, else
   * what the codec joins.
   */
  readonly join?: ((values: V[]) => V) | undefined;
  /**
   * Whether each append is stored as one frame, so that truncation is always noticed. Default true.
   */
  readonly framed?: boolean | undefined;
  /** Frames of the first sample that are appended to one key. Default 5,000. */
  readonly manyFrames?: number | undefined;
  /** Copies of a sample that are joined for the large frame. Default 2,000. */
  readonly largeFrame?: number | undefined;
  /** Random lists that each property-based case tries. Default 50. */
  readonly numRuns?: number | undefined;
  /** The seed of an earlier run, which it printed when it failed: repeats its values. */
  readonly seed?: number | undefined;
}

/** A codec under test. */
export interface CodecSubject<V> {
  readonly wrap: (store: Store) => Store<V>;
  readonly samples: readonly V[];
  readonly options: CodecContractOptions<V>;
  readonly join: (values: V[]) => V;
  readonly equal: (a: V, b: V) => boolean;
}

/** The parameters of a case of the codec contract. */
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
