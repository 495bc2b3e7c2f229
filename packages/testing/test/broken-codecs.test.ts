// As broken-stores.test.ts: each of these breaks one promise of a codec, and has to be found.
import { expect, test } from "@jest/globals";
import {
  type Codec,
  Encode,
  type Entries,
  isPartdError,
  type KeyTree,
  PartdError,
  type Store,
  type Values,
} from "@partd/core";
import { type AppendOptions, concatBytes, frame } from "@partd/core/author";
import { type CodecContractOptions, codecContract } from "@partd/testing";
import fc from "fast-check";

const utf8 = new TextEncoder();

const lists: Codec<number[]> = {
  name: "lists",
  encode(list) {
    if (!Array.isArray(list)) throw new TypeError("no list");
    return utf8.encode(JSON.stringify(list));
  },
  decode(bytes) {
    const list: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (!Array.isArray(list)) throw new TypeError("no list");
    return list as number[];
  },
  join: (parts) => parts.flat(),
};
const samples = [[1], [2, 3], []];
const hints: CodecContractOptions<number[]> = {
  arbitrary: fc.array(fc.integer()),
  badBytes: [utf8.encode("{}"), utf8.encode("[1")],
  unencodable: ["text"],
};

/** A decorator that goes wrong in one way. */
class Wrong extends Encode<number[]> {
  readonly lower: Store;
  constructor(lower: Store, codec: Codec<number[]> = lists) {
    super(lower, codec);
    this.lower = lower;
  }
}
class ShortensWhatIsDamaged extends Wrong {
  override async get<const K extends KeyTree>(keys: K): Promise<Values<K, number[]>> {
    try {
      return await super.get(keys);
    } catch (error) {
      if (isPartdError(error, "ERR_PARTD_CORRUPT")) return [] as never;
      throw error;
    }
  }
}
class PopsBeforeItDecodes extends Wrong {
  override async pop<const K extends KeyTree>(keys: K): Promise<Values<K, number[]>> {
    return this.lower.withLock(async (held) => {
      try {
        return await new Encode(held, lists).get(keys);
      } finally {
        await held.delete([keys].flat(9) as string[]);
      }
    });
  }
}
class AppendsOneByOne extends Wrong {
  override async append(data: Entries<number[]>, options?: AppendOptions): Promise<void> {
    const entries = Symbol.iterator in data ? data : Object.entries(data);
    for (const entry of entries) await super.append([entry], options);
  }
}
class NamesNoKey extends Wrong {
  override async get<const K extends KeyTree>(keys: K): Promise<Values<K, number[]>> {
    try {
      return await super.get(keys);
    } catch (error) {
      if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
      throw new PartdError("ERR_PARTD_CORRUPT", "It is damaged.");
    }
  }
}
class LeavesTheStoreOpen extends Wrong {
  override async close(): Promise<void> {}
}

const broken: [Codec<number[]> | ((store: Store) => Store<number[]>), string][] = [
  [
    { ...lists, decode: (bytes) => lists.decode(bytes.subarray(0, 3)) as number[] },
    "each sample reads back",
  ],
  [
    { ...lists, join: (parts) => parts.reverse().flat() },
    "values appended to one key are joined in",
  ],
  [{ ...lists, join: (parts) => parts.at(-1) ?? [] }, "random values read back"],
  [
    { ...lists, encode: (list) => utf8.encode(JSON.stringify(list)) },
    "a value that cannot be carried",
  ],
  [{ ...lists, decode: () => [] }, "bytes of another format"],
  [(store) => new ShortensWhatIsDamaged(store), "a value cut off within a frame"],
  [(store) => new ShortensWhatIsDamaged(store), "a frame that says it is longer"],
  [(store) => new PopsBeforeItDecodes(store), "bytes of another format"],
  [(store) => new AppendsOneByOne(store), "a value that cannot be carried"],
  [(store) => new NamesNoKey(store), "a value cut off within a frame"],
  [(store) => new NamesNoKey(store), "random bytes decode or are refused"],
  [(store) => new LeavesTheStoreOpen(store), "close closes the store below"],
];

test.each(broken.map(([codec, name]) => [name, codec] as const))(
  "%s: found broken",
  async (name, codec) => {
    const found = codecContract(codec, samples, hints).filter((one) => one.name.startsWith(name));
    expect(found.length).toBe(1);
    const [result] = await Promise.allSettled([found[0]!.run()]);
    expect(result.status).toBe("rejected");
  },
);

test("bytes that share memory with an earlier answer are found", async () => {
  const kept = new Map<string, Uint8Array>();
  const sharing: Codec<Uint8Array> = {
    name: "sharing",
    encode: (bytes) => bytes,
    decode(bytes) {
      const text = new TextDecoder().decode(bytes);
      kept.set(text, kept.get(text) ?? bytes);
      return kept.get(text) as Uint8Array;
    },
    join: (parts) => (parts.length === 1 ? (parts[0] as Uint8Array) : concatBytes(parts)),
  };
  const contract = codecContract(sharing, [utf8.encode("value")]);
  const found = contract.find(({ name }) => name.startsWith("two answers of get share nothing"));
  await expect(found!.run()).rejects.toThrow("answer");
});

test("the correct codec keeps every promise, as a codec and as a decorator", async () => {
  for (const { run } of codecContract(lists, samples, hints)) await run();
  for (const { run } of codecContract((store) => new Wrong(store), samples, hints)) await run();
  expect(frame(utf8.encode("[1]")).byteLength).toBe(11);
});
