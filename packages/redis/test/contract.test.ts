import { afterAll, beforeAll, test } from "@jest/globals";
import { RedisStore, type RedisStoreOptions } from "@partd/redis";
import { type DataSet, storeContract } from "@partd/testing";
import { describeReal, realPart } from "tooling/real-part";
import { RedisServer } from "./redis-server.js";

let server: RedisServer;
let url = "";

/** A store whose data goes with the case. */
function opens(options: RedisStoreOptions = {}) {
  return ({ name }: DataSet) => new RedisStore({ url, prefix: name, ...options });
}

describeReal(realPart.redisServer(), "the store contract on one server", () => {
  beforeAll(async () => {
    server = await RedisServer.start();
    url = server.url;
  });
  afterAll(() => server.stop());

  const openBroken = ({ name }: DataSet) =>
    new RedisStore({ url: "unix:///nowhere", prefix: name });
  const options = { persistent: true, shared: true, largestValue: 32 << 20 };
  for (const c of storeContract(opens(), { ...options, openBroken })) test(c.name, c.run);
});

describeReal(
  realPart.redisServer(),
  "the store contract with five buckets, one call at a time",
  () => {
    beforeAll(async () => {
      server = await RedisServer.start();
      url = server.url;
    });
    afterAll(() => server.stop());

    const options = { persistent: true, shared: true, atomic: "bucket", manyKeys: 1_000 } as const;
    const open = opens({ buckets: 5, maxInFlight: 1, expireAfter: 3_600_000 });
    for (const c of storeContract(open, { ...options, largestValue: 1 << 20, numRuns: 10 }))
      test(c.name, c.run);
  },
);
