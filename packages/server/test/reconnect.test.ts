import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server } from "@partd/server";
import { CuttingProxy } from "tooling/cutting-proxy";
import { REPEAT, randomFrom } from "./random.js";

const directory = await mkdtemp(join(tmpdir(), "partd-reconnect-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

const CUTS = 200;

for (let round = 1; round <= REPEAT; round++) {
  const seed = Number(process.env.PARTD_SEED ?? Math.floor(Math.random() * 2 ** 32));

  test(`connections are cut ${CUTS} times, and everything is there once (round ${round}, PARTD_SEED=${seed})`, async () => {
    const random = randomFrom(seed);
    const server = await Server.listen(new Dict(), {
      address: `ipc://${join(directory, `server-${round}.sock`)}`,
    });
    const proxy = await CuttingProxy.listen(
      join(directory, `proxy-${round}.sock`),
      server.address.slice("ipc://".length),
      { random, mostBytes: 400_000, cuts: CUTS, dribbles: true },
    );
    const clients = Array.from(
      { length: 4 },
      () => new Client(`ipc://${proxy.path}`, { timeout: 60_000 }),
    );
    let cut = 0;
    for (const client of clients) client.addEventListener("retry", () => cut++);
    const appended: string[] = [];
    const popped: string[] = [];
    let next = 0;
    const worker = async (client: Client) => {
      while (proxy.cuts < CUTS || appended.length < 2_000) {
        const mark = `<${next++}>`;
        const chance = random();
        const key = `k${Math.floor(random() * 7)}`;
        const filler = new Uint8Array(Math.floor(random() ** 6 * 60_000));
        await client.append({ [key]: bytes(mark), all: bytes(mark), filler });
        appended.push(mark);
        if (chance < 0.1) popped.push(text(await client.pop(key)));
        else if (chance < 0.2) expect(text(await client.get("all"))).toContain(mark);
        else if (chance < 0.22) await client.delete("filler");
        else if (chance < 0.25) {
          await client
            .withLock((held) => held.append({ locked: bytes(mark) }))
            .catch((error: { code: string }) => expect(error.code).toBe("ERR_PARTD_LOCK"));
        } else if (chance < 0.3) {
          const own = `own ${mark}`;
          await client.iset(own, bytes(mark));
          await client.append({ [own]: bytes("+") });
          expect(text(await client.get(own))).toBe(`${mark}+`);
        }
      }
    };
    await Promise.all(clients.flatMap((client) => Array.from({ length: 6 }, () => worker(client))));

    await using reader = new Client(server.address);
    const names = Array.from({ length: 7 }, (_, i) => `k${i}`);
    const left = (await reader.get(names)).map(text).join("");
    expect(sorted(left + popped.join(""))).toEqual(sorted(appended.join("")));
    expect(sorted(text(await reader.get("all")))).toEqual(sorted(appended.join("")));
    const locked = sorted(text(await reader.get("locked")));
    expect(new Set(locked).size).toBe(locked.length);
    // Or nothing was tried: mutations that had been carried out when their answer was lost.
    expect(server.stats().repeated).toBeGreaterThan(0);
    expect(proxy.cuts).toBeGreaterThanOrEqual(CUTS);
    expect(cut).toBeGreaterThanOrEqual(CUTS);
    await Promise.all(clients.map((client) => client.close()));
    await proxy.close();
    await server.close();
  });
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}

function sorted(marks: string): string[] {
  return (marks.match(/<\d+>/g) ?? []).sort();
}

test("a client is disconnected when it loses a connection, not when it closes or finds none", async () => {
  const told: string[] = [];
  const listen = (client: Client) => {
    for (const type of ["connect", "disconnect", "giveup"] as const) {
      client.addEventListener(type, () => told.push(type));
    }
    return client;
  };
  const server = await Server.listen(new Dict());
  const closed = listen(new Client(server.address));
  await closed.append({ x: bytes("1") });
  await closed.close();
  await using lost = listen(new Client(server.address, { timeout: 3_000 }));
  await lost.append({ x: bytes("2") });
  const disconnected = new Promise((resolve) => lost.addEventListener("disconnect", resolve));
  await server.close(); // Has all connections closed when it resolves.
  await disconnected;
  await expect(lost.append({ x: bytes("3") })).rejects.toMatchObject({
    code: "ERR_PARTD_CONNECTION",
  });
  expect(told).toEqual(["connect", "connect", "disconnect", "giveup"]);
});
