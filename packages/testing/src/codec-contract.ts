import { type Codec, Encode, type Store } from "@partd/core";
import { concatBytes, isBytes } from "@partd/core/author";
import { sameValue } from "./check.js";
import { bindCodecCase, type CodecContractOptions, type CodecSubject } from "./codec-case.js";
import { codecCases } from "./codec-cases.js";
import { damageCases } from "./codec-damage-cases.js";
import { codecProperties } from "./codec-properties.js";
import type { ContractCase } from "./contract.js";

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
