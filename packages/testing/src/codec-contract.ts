import { type Codec, Encode, type Store } from "@partd/core";
import { concatBytes, isBytes } from "@partd/core/author";
import type { Arbitrary } from "fast-check";
import { sameValue } from "./check.js";
import { bindCodecCase, type CodecSubject } from "./codec-case.js";
import { codecCases } from "./codec-cases.js";
import { damageCases } from "./codec-damage-cases.js";
import { codecProperties } from "./codec-properties.js";
import type { ContractCase } from "./contract.js";

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

/**
 * Everything that a codec, or a decorator over byte stores, promises, as cases for any test runner.
 *
 * @example for (const { name, run } of codecContract(jsonCodec(), [[1], ["two"]])) test(name, run);
 *
 * @param codec the codec, or a function that puts a decorator around a store:
 *   `(store) => new Json(store)`.
 * @param samples at least one value that the codec carries, the first a small one.
 */
export function codecContract<V>(
  codec: Codec<V> | ((store: Store) => Store<V>),
  samples: readonly V[],
  options: CodecContractOptions<V> = {},
): ContractCase[] {
  const subject: CodecSubject<V> = {
    wrap: typeof codec === "function" ? codec : (store) => new Encode(store, codec),
    samples,
    options,
    join: options.join ?? joinOf(samples, codec),
    equal: options.equal ?? sameValue,
  };
  return [
    ...[...codecCases<V>(), ...damageCases<V>()]
      .filter(({ when }) => when === undefined || when(options))
      .map((one) => bindCodecCase(one, subject)),
    ...codecProperties(subject),
  ];
}

/** Joins lists or bytes end to end; only the codec can join other values. */
function joinOf<V>(
  samples: readonly V[],
  codec: Codec<V> | ((store: Store) => Store<V>),
): (values: V[]) => V {
  if (samples.every(Array.isArray)) return (lists) => lists.flat() as V;
  if (samples.every(isBytes)) return (pieces) => concatBytes(pieces as Uint8Array[]) as V;
  if (typeof codec !== "function") return (values) => codec.join(values);
  throw new TypeError(
    "codecContract needs options.join for values that are neither lists nor bytes",
  );
}
