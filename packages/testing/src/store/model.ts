import { encodeKey, type Key, type KeyTree, type Store, tuple } from "@partd/core";
import { sameKey } from "@partd/core/author";
import fc from "fast-check";
import { equal, fail, ok } from "../check.js";
import { type ContractCase, type OpenStore, withDataSet } from "../contract.js";
import { collect, type StoreContractOptions } from "./store-case.js";

/**
 * The property that a store behaves like a plain `Map`: runs random programs of all operations on
 * both and compares every result. A shared store is opened twice, and each step uses either one at
 * random. A failure prints the seed and the shortest failing program. Part of `storeContract`;
 * exported for longer runs.
 */
export function storeProperty(open: OpenStore, options: StoreContractOptions = {}): ContractCase {
  const property = fc.asyncProperty(program(options), (steps) =>
    withDataSet(async (dataSet, opened) => {
      const openAll = async () => {
        const stores: Store[] = [];
        for (let i = 0; i < (options.shared ? 2 : 1); i++) {
          const store = await open(dataSet);
          opened(store);
          stores.push(store);
        }
        return stores;
      };
      const values: ModelValues = new Map();
      let models = [new Model(values), new Model(values)];
      let stores = await openAll();
      for (const [step, place] of steps) {
        if (step.type === "reopen") {
          for (const store of stores) await store.close();
          stores = await openAll();
          models = [new Model(values), new Model(values)];
        } else {
          const which = place % stores.length;
          await run(step, stores[which] as Store, models[which] as Model);
        }
      }
      for (const store of stores) await agree(store, models[0] as Model);
    }),
  );
  return {
    name: "random programs have the same answers as on a Map",
    run: () =>
      fc.assert(property, {
        numRuns: options.numRuns ?? 25,
        ...(options.seed === undefined ? {} : { seed: options.seed }),
        endOnFailure: false,
      }),
  };
}

type Step =
  | { type: "append"; entries: [Key, Uint8Array][] }
  | { type: "get" | "pop"; keys: KeyTree }
  | { type: "stream"; key: Key }
  | { type: "iset"; key: Key; value: Uint8Array }
  | { type: "delete"; keys: Key[] }
  | { type: "keys" | "flush" | "drop" | "reopen" }
  | { type: "withLock"; steps: Step[]; fails: boolean };

/** Few keys, so that steps meet, including some that are easily confused. */
const key: fc.Arbitrary<Key> = fc.constantFrom<Key[]>(
  "a",
  "b",
  "",
  "../a",
  "__proto__",
  "a/b",
  tuple("a", "b"),
  tuple("a", ""),
  ".lock",
  "é",
);
const value = fc.uint8Array({ maxLength: 12 });
const longValue = fc.record({ byte: fc.nat(255), length: fc.integer({ min: 1, max: 200_000 }) });
const anyValue = fc.oneof(
  { weight: 9, arbitrary: value },
  { weight: 1, arbitrary: longValue.map(({ byte, length }) => new Uint8Array(length).fill(byte)) },
);
const keyTree: fc.Arbitrary<KeyTree> = fc.letrec<{ tree: KeyTree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    key as fc.Arbitrary<KeyTree>,
    fc.array(tie("tree"), { maxLength: 4 }),
  ),
})).tree;

/** Steps, each with the index of the store that runs it. */
function program({ persistent }: StoreContractOptions): fc.Arbitrary<[Step, number][]> {
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant("append" as const),
        entries: fc.array(fc.tuple(key, anyValue), { maxLength: 8 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constant("get" as const), keys: keyTree }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("pop" as const), keys: keyTree }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("stream" as const), key }) },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant("iset" as const), key, value: anyValue }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant("delete" as const),
        keys: fc.array(key, { maxLength: 3 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constantFrom("keys" as const, "flush" as const) }),
    },
  ) as fc.Arbitrary<Step>;
  const drop = fc.record({ type: fc.constant("drop" as const) }) as fc.Arbitrary<Step>;
  const withLock = fc.record({
    type: fc.constant("withLock" as const),
    steps: fc.array(fc.oneof({ weight: 20, arbitrary: step }, { weight: 1, arbitrary: drop }), {
      maxLength: 6,
    }),
    fails: fc.boolean(),
  }) as fc.Arbitrary<Step>;
  const reopen = fc.record({ type: fc.constant("reopen" as const) }) as fc.Arbitrary<Step>;
  const any = fc.oneof(
    { weight: 40, arbitrary: step },
    { weight: 4, arbitrary: withLock },
    { weight: 1, arbitrary: drop },
    { weight: persistent ? 2 : 0, arbitrary: reopen },
  );
  return fc.array(fc.tuple(any, fc.nat(1)), { maxLength: 40, size: "max" });
}

async function run(step: Step, store: Store, model: Model): Promise<void> {
  switch (step.type) {
    case "append":
      await store.append(step.entries);
      return model.append(step.entries);
    case "get":
      return equal(await store.get(step.keys), model.get(step.keys), "get");
    case "pop":
      return equal(await store.pop(step.keys), model.pop(step.keys), "pop");
    case "stream":
      return equal(concat(await collect(store.stream(step.key))), model.get(step.key), "stream");
    case "iset":
      await store.iset(step.key, step.value);
      return model.iset(step.key, step.value);
    case "delete":
      await store.delete(step.keys);
      return model.delete(step.keys);
    case "keys":
      return sameKeys(await collect(store.keys()), model.keys());
    case "flush":
      return store.flush();
    case "drop":
      await store.drop();
      return model.drop();
    case "withLock": {
      const reason = new Error("from critical");
      try {
        await store.withLock(async (held) => {
          for (const inner of step.steps) await run(inner, held, model);
          if (step.fails) throw reason;
        });
      } catch (error) {
        if (error !== reason) throw error;
      }
      return;
    }
    default:
      return fail(`no such step: ${step.type}`);
  }
}

/** Checks that the store holds exactly what the model holds. */
async function agree(store: Store, model: Model): Promise<void> {
  const keys = model.keys();
  sameKeys(await collect(store.keys()), keys);
  equal(await store.get(keys), model.get(keys), "all values");
}

function sameKeys(actual: readonly Key[], expected: readonly Key[]): void {
  equal(actual.length, expected.length, "the number of keys");
  for (const key of expected) {
    ok(
      actual.some((other) => sameKey(key, other)),
      `keys() should list ${String(key)}`,
    );
  }
}

type ModelValues = Map<string, { readonly key: Key; readonly pieces: Uint8Array[] }>;

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let filled = 0;
  for (const piece of pieces) {
    whole.set(piece, filled);
    filled += piece.length;
  }
  return whole;
}

/** The model: a store reduced to a Map. */
class Model {
  readonly #values: ModelValues;
  /** Belongs to this store alone; another one open on the same values has its own. */
  readonly #isets = new Set<string>();

  constructor(values: ModelValues) {
    this.#values = values;
  }

  append(entries: readonly (readonly [Key, Uint8Array])[]): void {
    for (const [key, value] of entries) {
      if (value.length === 0) continue;
      const name = encodeKey(key);
      const entry = this.#values.get(name) ?? { key, pieces: [] };
      this.#values.set(name, entry);
      entry.pieces.push(value);
    }
  }

  get(keys: KeyTree): unknown {
    if (Array.isArray(keys)) return keys.map((key: KeyTree) => this.get(key));
    return concat(this.#values.get(encodeKey(keys as Key))?.pieces ?? []);
  }

  pop(keys: KeyTree): unknown {
    const values = this.get(keys);
    this.delete(([keys] as unknown[]).flat(Number.POSITIVE_INFINITY) as Key[]);
    return values;
  }

  iset(key: Key, value: Uint8Array): void {
    const name = encodeKey(key);
    if (this.#isets.has(name)) return;
    this.#values.delete(name);
    this.append([[key, value]]);
    this.#isets.add(name);
  }

  delete(keys: readonly Key[]): void {
    for (const key of keys) {
      this.#values.delete(encodeKey(key));
      this.#isets.delete(encodeKey(key));
    }
  }

  keys(): Key[] {
    return [...this.#values.values()].map(({ key }) => key);
  }

  drop(): void {
    this.#values.clear();
    this.#isets.clear();
  }
}
