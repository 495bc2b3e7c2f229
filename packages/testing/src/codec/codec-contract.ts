import { type Codec, Encode, isPartdError, type Store } from "@partd/core";
import { concatBytes, frame, isBytes } from "@partd/core/author";
import fc from "fast-check";
import { fail, sameValue, show } from "../check.js";
import type { ContractCase } from "../contract.js";
import { collect } from "../store/store-case.js";
import {
  bindCodecCase,
  type CodecContractOptions,
  type CodecSubject,
  withCodec,
} from "./codec-case.js";
import { codecCases } from "./codec-cases.js";
import { damageCases } from "./codec-damage-cases.js";

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

/** Properties of all values that the codec carries, and of all bytes that it does not. */
function codecProperties<V>(subject: CodecSubject<V>): ContractCase[] {
  const { arbitrary, seed, framed } = subject.options;
  const settings = {
    numRuns: subject.options.numRuns ?? 50,
    ...(seed === undefined ? {} : { seed }),
  };
  const cases: ContractCase[] = [
    {
      name: "random bytes decode or are refused, and nothing worse",
      run: () =>
        fc.assert(
          fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) =>
            withCodec(subject, async ({ store, lower }) => {
              await lower.append({ x: framed === false ? bytes : frame(bytes) });
              try {
                await store.get("x");
              } catch (error) {
                if (isPartdError(error) && error.key === "x") return;
                fail(`expected a PartdError that names the key, got ${show(error)}`, error);
              }
            }),
          ),
          settings,
        ),
    },
  ];
  if (arbitrary === undefined) return cases;
  const batches = fc.array(
    fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), arbitrary), { maxLength: 5 }),
    { maxLength: 5 },
  );
  cases.push({
    name: "random values read back as what their batches join to",
    run: () =>
      fc.assert(
        fc.asyncProperty(batches, (data) =>
          withCodec(subject, async ({ store, join, same }) => {
            for (const batch of data) await store.append(batch);
            for (const key of ["a", "b", "c"]) {
              const appended = data
                .flat()
                .flatMap(([name, value]) => (name === key ? [value] : []));
              const expected = join(appended);
              same(await store.get(key), expected, `${key}, got`);
              same(join(await collect(store.stream(key))), expected, `${key}, streamed`);
            }
          }),
        ),
        settings,
      ),
  });
  return cases;
}
