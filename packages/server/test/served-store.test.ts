import { describe, expect, test } from "@jest/globals";
import { Dict, type Key, PartdError } from "@partd/core";
import { Client, Server } from "@partd/server";

const value = new Uint8Array([1, 2, 3]);

/** A server of a store that was right until it was spoilt, and a client with another request under way. */
async function spoilt(methods: object, use: (client: Client) => Promise<void>): Promise<void> {
  const store = new Dict();
  await using server = await Server.listen(store);
  await using client = new Client(server.address);
  await client.append({ x: value });
  Object.assign(store, methods);
  await using other = new Client(server.address);
  client.addEventListener("disconnect", () => {
    throw new Error("the connection has ended");
  });
  await use(client);
  for (const name of Object.keys(methods)) Reflect.deleteProperty(store, name);
  await client.append({ x: value });
  expect(await other.get("x")).toEqual(new Uint8Array([1, 2, 3, 1, 2, 3]));
}

describe("a store that fails in odd ways fails a request, and not the server", () => {
  const thrown: Record<string, unknown> = {
    nothing: undefined,
    "an object without text": Object.create(null),
    "an object whose text throws": {
      toString(): string {
        throw new Error("no text");
      },
    },
    "an error with a number for a message": Object.assign(new Error(), { message: 5 }),
    "an error about a key that is none": new PartdError("ERR_PARTD_KEY", "odd", { key: "\ud800" }),
    "an error with a path that is none": new PartdError("ERR_PARTD_IO", "odd", {
      path: {} as string,
    }),
    ...Object.fromEntries(
      [-1, Number.POSITIVE_INFINITY, Number.NaN, 5n].map((offset) => [
        `an error at the offset ${offset}`,
        new PartdError("ERR_PARTD_IO", "odd", { offset: offset as number }),
      ]),
    ),
  };
  for (const [name, error] of Object.entries(thrown)) {
    test(`it throws ${name}`, async () => {
      const fail = (): never => {
        throw error;
      };
      const all = { append: fail, get: fail, pop: fail, iset: fail, flush: fail, withLock: fail };
      await spoilt(all, async (client) => {
        const calls = [
          client.append({ y: value }),
          client.get("x"),
          client.pop("x"),
          client.iset("z", value),
          client.flush(),
          client.withLock(() => {}),
        ];
        const code = expect.stringMatching(/^ERR_PARTD_(IO|KEY)$/) as unknown as string;
        for (const call of calls) await expect(call).rejects.toMatchObject({ code });
      });
    });
  }
});

describe("a store that answers wrongly fails a request, and not the connection", () => {
  const failure = (name: string) => ({
    code: "ERR_PARTD_IO",
    message: expect.stringMatching(`^${name} of the served store has to return`),
  });

  const values: readonly unknown[] = [[], [value, value], undefined, ["text"], [null]];
  // Longer than its items: what lies behind them in memory would have been sent.
  for (const wrong of [...values, [new Float64Array([1, 2])], [new ArrayBuffer(3)]]) {
    test(`get and pop return ${name(wrong)}`, async () => {
      const answer = async () => wrong;
      await spoilt({ get: answer, pop: answer }, async (client) => {
        await expect(client.get("x")).rejects.toMatchObject(failure("get"));
        await expect(client.pop("y")).rejects.toMatchObject(failure("pop"));
      });
    });
  }

  for (const wrong of ["text", null, 5, new ArrayBuffer(3)]) {
    test(`stream yields ${name(wrong)}`, async () => {
      async function* stream() {
        yield wrong;
      }
      await spoilt({ stream }, async (client) => {
        await expect(client.stream("x").next()).rejects.toMatchObject(failure("stream"));
      });
    });
  }

  for (const wrong of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 5n, "7", undefined]) {
    test(`sizes and count return ${name(wrong)}`, async () => {
      const sizes = async (keys: readonly Key[]) => keys.map(() => wrong);
      await spoilt({ sizes, count: async () => wrong }, async (client) => {
        await expect(client.size("x")).rejects.toMatchObject(failure("sizes"));
        await expect(client.count()).rejects.toMatchObject(failure("count"));
      });
    });
  }

  test("withLock ends without a lock", async () => {
    await spoilt({ withLock: async () => {} }, async (client) => {
      await expect(client.withLock(() => {})).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
    });
  });

  function name(wrong: unknown): string {
    if (Array.isArray(wrong)) return `[${wrong.map(name)}]`;
    return (
      Object.prototype.toString.call(wrong).slice(8, -1) +
      (Object(wrong) === wrong ? "" : ` ${wrong}`)
    );
  }
});
