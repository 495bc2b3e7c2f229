import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
import { FileStore } from "@partd/file";
import { Client } from "@partd/server";
import { Child } from "./child.js";
import { REPEAT } from "./random.js";

const directory = await mkdtemp(join(tmpdir(), "partd-restart-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

const KILLS = 4;
const KEYS = ["a", "b", "c"];

for (let round = 1; round <= REPEAT; round++) {
  test(`the server is killed ${KILLS} times under load: nothing acknowledged is lost, no outcome is guessed (round ${round})`, async () => {
    const data = join(directory, `data-${round}`);
    const address = `ipc://${join(directory, `${round}.sock`)}`;
    let server = new Child("serve.mjs", address, "file", data);
    await server.line();
    const client = new Client(address, { timeout: 60_000 });
    let reconnects = 0;
    client.addEventListener("connect", ({ detail }) => {
      if (!detail.resumed) reconnects++;
    });
    const resolved: string[] = [];
    const unknown: string[] = [];
    let next = 0;
    let over = false;
    const worker = async (reads: boolean) => {
      while (!over) {
        const mark = `<${next++}>`;
        const value = new TextEncoder().encode(mark);
        try {
          await client.append(KEYS.map((key) => [key, value] as const));
          resolved.push(mark);
          if (reads) await client.get("a"); // Which is simply made again.
        } catch (error) {
          if (!isPartdError(error, "ERR_PARTD_CONNECTION")) throw error;
          // What was never sent, because the server stayed away too long, must not be there.
          if (error.message.includes("outcome is unknown")) unknown.push(mark);
        }
      }
    };
    const workers = Array.from({ length: 12 }, (_, i) => worker(i % 2 === 0));
    for (let kill = 0; kill < KILLS; kill++) {
      const before = resolved.length;
      while (resolved.length < before + 150) await new Promise((resolve) => setTimeout(resolve, 2));
      await server.kill();
      server = new Child("serve.mjs", address, "file", data);
      await server.line();
    }
    const before = resolved.length;
    while (resolved.length < before + 50) await new Promise((resolve) => setTimeout(resolve, 2));
    over = true;
    await Promise.all(workers);
    await client.close();
    expect(await server.kill("SIGTERM")).toBe(0);

    await using store = new FileStore(data);
    const values = (await store.get(KEYS)).map((value) => new TextDecoder().decode(value));
    expect(values[1]).toBe(values[0]);
    expect(values[2]).toBe(values[0]);
    const found = values[0]!.match(/<\d+>/g) ?? [];
    const there = new Set(found);
    expect(there.size).toBe(found.length); // Nothing twice, whatever was thought of it.
    expect(resolved.filter((mark) => !there.has(mark))).toEqual([]);
    const told = new Set([...resolved, ...unknown]);
    expect(found.filter((mark) => !told.has(mark))).toEqual([]);
    expect(unknown.length).toBeGreaterThan(0);
    expect(reconnects).toBe(KILLS + 1);
  });
}
