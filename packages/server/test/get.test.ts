import { expect, test } from "@jest/globals";
import { Dict, type GetOptions, type Store } from "@partd/core";
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

/** Some values of an answer grow beyond its block after the server has looked at their lengths. */
class Growing extends Dict {
  grown = false;
  protected override async _get(
    keys: readonly string[],
    options: GetOptions,
  ): Promise<Uint8Array[]> {
    if (keys.includes("grows") && !this.grown) {
      this.grown = true;
      await this._append({ keys: ["grows"], values: [new Uint8Array(250_000)], byteLength: 250_000 });
    }
    return super._get(keys, options);
  }
}

test("values beside one that has outgrown the block stay as they are", async () => {
  await served(new Growing(), async (client) => {
    const lengths = { a: 70_000, b: 30_000, grows: 100 };
    const value = (key: string, length: number) =>
      Uint8Array.from({ length }, (_, i) => i * 31 + key.charCodeAt(0));
    await client.append(
      Object.fromEntries(Object.entries(lengths).map(([k, n]) => [k, value(k, n)])),
    );
    for (let i = 0; i < 8; i++) await client.append({ [`other${i}`]: new Uint8Array(70_000) });
    const reading = client.get(["a", "b", "grows"]);
    const others = [...Array(8).keys()].map((i) => client.get([`other${i}`]));
    const [a, b, grown] = await reading;
    await Promise.all(others);
    expect(Buffer.compare(a, value("a", 70_000))).toBe(0);
    expect(Buffer.compare(b, value("b", 30_000))).toBe(0);
    expect(grown.byteLength).toBe(250_100);
  });
});
