import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server } from "@partd/server";
import { type DataSet, storeContract } from "@partd/testing";

const directory = await mkdtemp(join(tmpdir(), "partd-server-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

/** One server for all clients of a data set, on a store that outlives them. */
const servers = new Map<string, Promise<Server>>();

async function serve(dataSet: DataSet, address: string): Promise<Server> {
  const known = servers.get(dataSet.name);
  if (known) return known;
  const server = Server.listen(new Dict(), { address });
  servers.set(dataSet.name, server);
  dataSet.onEnd(async () => {
    servers.delete(dataSet.name);
    await (await server).close();
  });
  return server;
}

const options = {
  persistent: true,
  shared: true,
  openBroken: () => new Client(`ipc://${join(directory, "nobody.sock")}`, { timeout: 50 }),
};

describe("the store contract through a socket file", () => {
  let count = 0;
  for (const { name, run } of storeContract(async (dataSet) => {
    const server = await serve(dataSet, `ipc://${join(directory, `${count++}.sock`)}`);
    return new Client(server.address);
  }, options)) {
    test(name, run);
  }
});
