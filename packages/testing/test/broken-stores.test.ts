// The contract is worth what it finds: each of these stores breaks one promise, as a real one
// might, and the case that is about that promise has to fail.
import { expect, test } from "@jest/globals";
import {
  Dict,
  type Entries,
  type Key,
  type KeyTree,
  type OperationOptions,
  type Store,
  type Values,
} from "@partd/core";
import { BaseStore, type Batch, entriesOf } from "@partd/core/author";
import {
  ContractError,
  type OpenStore,
  type StoreContractOptions,
  storeContract,
} from "@partd/testing";

/** A correct store over a Map, to be broken. */
class Plain extends BaseStore {
  readonly values = new Map<string, Uint8Array>();

  protected async _append({ keys, values }: Batch): Promise<void> {
    keys.forEach((key, i) => {
      this.values.set(key, Buffer.concat([this.held(key), values[i] as Uint8Array]));
    });
  }
  protected async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    return keys.map((key) => Uint8Array.from(this.held(key)));
  }
  protected async _delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.values.delete(key);
  }
  protected async _keys(): Promise<string[]> {
    return [...this.values.keys()];
  }
  held(key: string): Uint8Array {
    return this.values.get(key) ?? new Uint8Array(0);
  }
}

class KeepsTheBuffer extends Plain {
  protected override async _append(batch: Batch): Promise<void> {
    for (const [i, key] of batch.keys.entries()) {
      if (this.values.has(key))
        await super._append({ ...batch, keys: [key], values: [batch.values[i]!] });
      else this.values.set(key, batch.values[i] as Uint8Array);
    }
  }
}
class LooksAtBuffersLate extends Plain {
  protected override async _append(batch: Batch): Promise<void> {
    await null;
    await super._append(batch);
  }
}
class EmptiesByLostBytes extends Dict {
  override async iset(key: Key, value: Uint8Array): Promise<void> {
    await super.iset(key, value.length === 0 ? new Uint8Array(0) : value);
  }
}
class SharesItsMemory extends Plain {
  protected override async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    return keys.map((key) => this.held(key));
  }
}
class AppendsOneByOne extends Dict {
  override async append(data: Entries<Uint8Array>): Promise<void> {
    for (const entry of entriesOf(data)) await super.append([entry]);
  }
}
class LooksUpOnAnObject extends Plain {
  readonly #object: Record<string, Uint8Array> = {};
  override readonly values = {
    get: (key: string) => this.#object[key],
    set: (key: string, value: Uint8Array) => {
      this.#object[key] = value;
    },
    delete: (key: string) => delete this.#object[key],
    keys: () => Object.keys(this.#object),
  } as unknown as Map<string, Uint8Array>;
}
class ForgetsSlashes extends Plain {
  protected override async _append(batch: Batch): Promise<void> {
    await super._append({ ...batch, keys: batch.keys.map((key) => key.replace("/", "%2F")) });
  }
  protected override async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    return super._get(keys.map((key) => key.replace("/", "%2F")));
  }
}
class LocksNothing extends Dict {
  override async withLock<T>(critical: (store: Store) => T | Promise<T>): Promise<T> {
    return critical(this);
  }
}
class PopsInTwoSteps extends Dict {
  override async pop<const K extends KeyTree>(keys: K): Promise<Values<K, Uint8Array>> {
    const values = await this.get(keys);
    await this.delete(keys as Key);
    return values;
  }
}
class SetsAgain extends Dict {
  override async iset(key: Key, value: Uint8Array): Promise<void> {
    await this.withLock(async (store) => {
      await store.delete(key);
      await store.append([[key, value]]);
    });
  }
}
class RemembersIsets extends Dict {
  readonly #seen = new Set<string>();
  override async iset(key: Key, value: Uint8Array, options?: OperationOptions): Promise<void> {
    if (this.#seen.has(String(key))) return;
    await super.iset(key, value, options);
    this.#seen.add(String(key));
  }
}
class StreamsWhatIsThereNow extends Plain {
  protected override async _stream(key: string): Promise<AsyncIterable<Uint8Array>> {
    const held = (at: number) => this.held(key).slice(at, at + 1_000);
    return (async function* () {
      for (let at = 0; held(at).length > 0; at += 1_000) yield held(at);
    })();
  }
}
class StreamsWithoutAnEnd extends Plain {
  protected override async _stream(key: string): Promise<Uint8Array[]> {
    return [this.held(key).slice(0, 100_000)];
  }
}
class NeverCloses extends Dict {
  override async close(): Promise<void> {}
}
class ClosesOnce extends Dict {
  #closed = false;
  override async close(): Promise<void> {
    if (this.#closed) throw new Error("closed already");
    this.#closed = true;
    await super.close();
  }
}
class LosesUpdates extends Plain {
  protected override async _append({ keys, values }: Batch): Promise<void> {
    for (const [i, key] of keys.entries()) {
      const before = this.held(key);
      await null;
      this.values.set(key, Buffer.concat([before, values[i] as Uint8Array]));
    }
  }
}
class IgnoresSignals extends Dict {
  override async append(data: Entries<Uint8Array>): Promise<void> {
    await super.append(data);
  }
}
class ListsWhatIsEmpty extends Plain {
  protected override async _set(key: string, value: Uint8Array): Promise<void> {
    this.values.set(key, value.slice());
  }
}
class CutsLongValues extends Plain {
  protected override async _append(batch: Batch): Promise<void> {
    await super._append({
      ...batch,
      values: batch.values.map((value) => value.subarray(0, 65_536)),
    });
  }
}
class IgnoresItsOptions extends Dict {
  override get(keys: never): Promise<never> {
    return super.get(keys) as Promise<never>;
  }
}
class ReadsEntriesLate extends Dict {
  override async append(data: Entries<Uint8Array>, options?: OperationOptions): Promise<void> {
    await super.get("any", options);
    await super.append(data, options);
  }
}
class ReadsKeysLate extends Dict {
  override async get<const K extends KeyTree>(
    keys: K,
    options?: OperationOptions,
  ): Promise<Values<K, Uint8Array>> {
    await super.flush(options);
    return super.get(keys, options);
  }
}
class KeepsLargeBuffers extends Plain {
  protected override async _append(batch: Batch): Promise<void> {
    for (const [i, key] of batch.keys.entries()) {
      const value = batch.values[i] as Uint8Array;
      if (value.byteLength > 65_536 && !this.values.has(key)) this.values.set(key, value);
      else await super._append({ keys: [key], values: [value], byteLength: value.byteLength });
    }
  }
}
class SharesLargeValues extends Plain {
  protected override async _get(keys: readonly string[]): Promise<Uint8Array[]> {
    return keys.map((key) => {
      const held = this.held(key);
      return held.byteLength > 65_536 ? held : held.slice();
    });
  }
}
class ReleasesEarly extends Dict {
  override async withLock<T>(critical: (store: Store) => T | Promise<T>): Promise<T> {
    let answer: T | Promise<T>;
    await super.withLock((held) => {
      answer = critical({
        ...bound(held),
        append: async (data: Entries<Uint8Array>) => {
          await new Promise((resolve) => setTimeout(resolve));
          await this.append(data);
        },
      } as unknown as Store);
    });
    return answer!;
  }
}
class SetsLast extends Dict {
  override async iset(key: Key, value: Uint8Array): Promise<void> {
    // The later ones overtake by turns of the event loop, which no load can reorder.
    const turns = 10 - 2 * Number(new TextDecoder().decode(value));
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    await super.iset(key, value);
  }
}
class StreamsFromTheCall extends Dict {
  override stream(key: Key) {
    const value = this.get(key);
    return (async function* () {
      yield await value;
    })();
  }
}
class StreamsInAnotherOrder extends Dict {
  override async *stream(key: Key) {
    for await (const piece of super.stream(key)) yield piece.slice().sort();
  }
}
class CutsStreamsAtClose extends Plain {
  #closed = false;
  override async *stream(key: Key) {
    for await (const piece of super.stream(key)) {
      for (let at = 0; at < piece.byteLength && !this.#closed; at += 1_000) {
        yield piece.slice(at, at + 1_000);
      }
    }
  }
  override async close(): Promise<void> {
    this.#closed = true;
    await super.close();
  }
}
class OpensAtOnce extends Dict {
  constructor() {
    super();
    throw new Error("no such place");
  }
}

/** The operations of a store, each on its own. */
function bound(store: Store): object {
  return {
    get: store.get.bind(store),
    delete: store.delete.bind(store),
    withLock: store.withLock.bind(store),
  };
}

const broken: [OpenStore, string, StoreContractOptions?][] = [
  [() => new KeepsTheBuffer(), "a buffer may be changed"],
  [() => new LooksAtBuffersLate(), "a buffer that is transferred"],
  [() => new LooksAtBuffersLate(), "a buffer that shrinks"],
  [() => new EmptiesByLostBytes(), "iset refuses bytes that were transferred"],
  [() => new SharesItsMemory(), "what get returns is the caller's own"],
  [() => new AppendsOneByOne(), "a batch with a value that is not bytes"],
  [() => new AppendsOneByOne(), "a batch with something that is not a key"],
  [() => new AppendsOneByOne(), "an iterable that throws"],
  [() => new LooksUpOnAnObject(), "hostile keys hold their own values"],
  [() => new ForgetsSlashes(), "hostile keys hold their own values"],
  [() => new LocksNothing(), "other calls wait for the end of withLock"],
  [() => new LocksNothing(), "reading, changing and writing under withLock"],
  [() => new LocksNothing(), "the store that withLock passes is closed"],
  [() => new PopsInTwoSteps(), "of pops that overlap, one alone"],
  [() => new PopsInTwoSteps(), "200 overlapping calls of every sort"],
  [() => new SetsAgain(), "iset replaces the value at its first call"],
  [() => new RemembersIsets(), "iset sets again once its key was deleted"],
  [() => new StreamsWhatIsThereNow(), "stream gives the value as it stood"],
  [() => new StreamsWhatIsThereNow(), "stream goes on to the end"],
  [() => new StreamsWithoutAnEnd(), "stream of a value of 3 MiB equals get"],
  [
    () => new StreamsInAnotherOrder(),
    "random programs have the same answers",
    { numRuns: 200, seed: 1 },
  ],
  [() => new NeverCloses(), "after close every operation rejects"],
  [() => new ClosesOnce(), "a store that was never used closes too"],
  [() => new LosesUpdates(), "200 overlapping appends to shared keys"],
  [() => new IgnoresSignals(), "an operation whose signal is aborted before"],
  [() => new IgnoresItsOptions(), "an operation refuses an option"],
  [() => new ListsWhatIsEmpty(), "iset of no bytes empties the key"],
  [
    () => new ListsWhatIsEmpty(),
    "random programs have the same answers",
    { numRuns: 200, seed: 1 },
  ],
  [() => new ReadsEntriesLate(), "append reads its entries at once"],
  [() => new ReadsKeysLate(), "get, pop and delete read their lists at once"],
  [() => new KeepsLargeBuffers(), "a buffer may be changed"],
  [() => new SharesLargeValues(), "a large value that get or pop returned"],
  [() => new ReleasesEarly(), "what critical began and did not await"],
  [() => new SetsLast(), "of isets that overlap, the first"],
  [() => new StreamsFromTheCall(), "a stream of which no piece was asked for yet"],
  [() => new CutsStreamsAtClose(), "a stream and a listing go on after close"],
  [() => new CutsLongValues(), "random programs have the same answers", { numRuns: 200, seed: 1 }],
  [() => new Dict(), "everything is there when the data set is opened again", { persistent: true }],
  [() => new Dict(), "two stores of one data set see each other", { shared: true }],
  [() => new Dict(), "a store is made without I/O", { openBroken: () => new OpensAtOnce() }],
];

test.each(broken.map(([open, name, options]) => [name, open, options] as const))(
  "%s: found broken",
  async (name, open, options) => {
    const found = storeContract(open, options).filter((one) => one.name.startsWith(name));
    expect(found.length).toBe(1);
    const [result] = await Promise.allSettled([found[0]!.run()]);
    expect(result.status).toBe("rejected");
  },
);

test("what is broken is told by name, and a random program by its seed", async () => {
  const contract = storeContract(() => new LosesUpdates());
  const overlapping = contract.find(({ name }) => name.startsWith("200 overlapping appends"));
  await expect(overlapping!.run()).rejects.toBeInstanceOf(ContractError);
  const random = storeContract(() => new ListsWhatIsEmpty(), { numRuns: 200, seed: 1 }).at(-1);
  await expect(random!.run()).rejects.toThrow(/seed: 1[\s\S]*Counterexample/);
});

test("a correct store over a Map keeps every promise", async () => {
  for (const { run } of storeContract(() => new Plain(), { largestValue: 2 ** 20 })) await run();
});
