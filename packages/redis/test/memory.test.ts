import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { RedisStore } from "@partd/redis";
import { describeReal, realPart } from "tooling/real-part";
import { RedisServer } from "./redis-server.js";

const MIB = 2 ** 20;

describeReal(realPart.redisServer(), "the server's memory", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  /** Without buffers of connections. */
  const used = async () => {
    const info = String(await server.command("INFO", "memory"));
    return Number(/used_memory_dataset:(\d+)/.exec(info)?.[1]);
  };

  // In lists of 100 values or in a few long ones.
  test.each([100, 8000, 512 << 10, MIB, 8 * MIB])(
    "is at most 1.15 bytes a byte, with values of %d bytes",
    async (size) => {
      await server.command("FLUSHALL");
      const before = await used();
      await using store = new RedisStore({ url: server.url, prefix: "memory" });
      const count = ((size < 1000 ? 8 : 32) * MIB) / size;
      const keys = Math.ceil(count / 100);
      const value = new Uint8Array(size);
      for (let i = 0; i < count; i += keys) {
        await store.append(Array.from({ length: keys }, (_, k) => [`${k}`, value] as const));
      }
      const written = Math.ceil(count / keys) * keys * size;
      expect(((await used()) - before) / written).toBeLessThan(1.15);
    },
  );
});
