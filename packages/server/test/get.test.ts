import { expect, test } from "@jest/globals";
import { Dict, type Store } from "@partd/core";
import type { GetOptions } from "@partd/core/author";
import { Client, Server } from "@partd/server";

/** Takes no notice of where values are to be read into. */
class Plain extends Dict {
  protected override _get(keys: readonly string[], { signal }: GetOptions): Promise<Uint8Array[]> {
    return super._get(keys, { signal });
  }
}

const LENGTHS = [0, 1, 63, 64, 8_191, 8_192, 30_000, 262_143, 262_144, 262_145, 1_000_000];

/** Reads every other value into memory of its own, as a buffer does with what lies below it. */
class Half extends Dict {
  protected override async _get(keys: readonly string[], options: GetOptions) {
    const values = await super._get(keys, options);
    return values.map((value, i) => (i % 2 === 0 ? value : value.slice()));
  }
}

/** Values of lengths around each bound, in a length that differs from key to key. */
function madeFor(i: number): Uint8Array {
  return new Uint8Array(LENGTHS[i % LENGTHS.length] as number).fill(i + 1);
}

async function served(store: Store, use: (client: Client) => Promise<void>): Promise<void> {
  await using server = await Server.listen(store);
  await using client = new Client(server.address);
  await use(client);
}

async function readsAll(client: Client): Promise<void> {
  const numbers = [...Array(40).keys(), 7, 7, 0];
  const values = await client.get(numbers.map((i) => `k${i}`));
  for (const [i, number] of numbers.entries()) {
    expect(Buffer.compare(values[i] as Uint8Array, madeFor(number))).toBe(0);
  }
}

test.each([
  ["a store that reads into given memory", () => new Dict()],
  ["a store that does not", () => new Plain()],
  ["a store that does with some", () => new Half()],
])("get of many values of all lengths, from %s", async (_, open) => {
  await served(open(), async (client) => {
    await client.append(new Map([...Array(40).keys()].map((i) => [`k${i}`, madeFor(i)])));
    await Promise.all([readsAll(client), readsAll(client), readsAll(client)]);
    await readsAll(client);
  });
});

test("get of values that have grown where the server does not count", async () => {
  const store = new Dict();
  await served(store, async (client) => {
    const keys = [...Array(30).keys()].map((i) => `k${i}`);
    await client.append(new Map(keys.map((key) => [key, new Uint8Array(9_000).fill(1)])));
    await store.append(new Map(keys.map((key) => [key, new Uint8Array(5_000).fill(2)])));
    for (const value of await client.get(keys)) {
      expect(value.byteLength).toBe(14_000);
      expect([value[0], value[8_999], value[9_000], value[13_999]]).toEqual([1, 1, 2, 2]);
    }
  });
});

test.each([
  ["into given memory", () => new Dict()],
  ["or not", () => new Plain()],
])(
  "a value that has grown beyond any message where the server does not count, %s",
  async (_, open) => {
    const store = open();
    await served(store, async (client) => {
      await client.append({ x: new Uint8Array(1), y: new Uint8Array(1) });
      const grown = new Uint8Array(70 << 20).fill(2);
      await store.append({ x: grown });
      const [x, y] = await client.get(["x", "y"]);
      expect([x.byteLength, y.byteLength]).toEqual([1 + grown.byteLength, 1]);
      expect(Buffer.compare(x.subarray(1), grown)).toBe(0);
    });
  },
);

/** Answers with its own memory for "b" alone; who asks for "p" waits until that answer is written. */
class Steered extends Dict {
  #tell!: () => void;
  readonly #answered = new Promise<void>((resolve) => {
    this.#tell = resolve;
  });
  steering = false;

  protected override async _get(keys: readonly string[], options: GetOptions) {
    const values = await super._get(keys, options);
    if (!this.steering) return values;
    if (keys.includes("b")) this.#tell();
    if (keys.includes("p")) {
      await this.#answered;
      for (let turns = 0; turns < 50; turns++) await null; // The answer is written, and not sent.
    }
    return values.map((value, i) => (keys[i] === "b" ? value.slice() : value));
  }
}

test("memory in which a value lies is not written over before it is sent", async () => {
  const store = new Steered();
  const names = ["a", "b", "p", "u", "q"];
  const value = (name: string) =>
    new Uint8Array("aq".includes(name) ? 70_000 : 10).fill(name.charCodeAt(0));
  await store.append(Object.fromEntries(names.map((name) => [name, value(name)])));
  await served(store, async (client) => {
    await client.get(["a", "b", "p", "q"]); // Now their lengths are known, not that of u.
    store.steering = true;
    const read = await Promise.all([client.get(["a", "b"]), client.get(["p", "u", "q"])]);
    for (const [i, bytes] of read.flat().entries()) {
      expect(Buffer.compare(bytes, value(names[i] as string))).toBe(0);
    }
  });
});

/** Gives a value byte by byte. */
class Crumbs extends Dict {
  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    const [value] = await super._get([key]);
    return Array.from(value as Uint8Array, (byte) => Uint8Array.of(byte));
  }
}

test("very many small values that are popped, and pieces of a stream", async () => {
  await served(new Crumbs(), async (client) => {
    const keys = [...Array(30_000).keys()].map((i) => `k${i}`);
    await client.append(new Map(keys.map((key, i) => [key, Uint8Array.of(i)])));
    const value = new Uint8Array(30_000).map((_, i) => i);
    await client.append({ x: value });
    const read: number[] = [];
    for await (const piece of client.stream("x")) read.push(...piece);
    expect(Buffer.compare(Uint8Array.from(read), value)).toBe(0);
    const popped = await client.pop(keys);
    expect(Buffer.compare(Buffer.concat(popped), value)).toBe(0);
  });
});
