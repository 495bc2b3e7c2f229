import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Server } from "@partd/server";
import { openStore, randomEvents, shuffleOf } from "../dist/events.js";

const KILLS = Number(process.env.PARTD_KILLS ?? 3);
const EVENTS = 20_000;
jest.setTimeout(1_800_000);

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-workers-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...words]);
  return stdout;
}

/** Every line of every user once, in the order of the file. */
async function expectExactGroups(where: string) {
  await using store = openStore(where);
  const shuffle = shuffleOf(store);
  const expected = new Map<string, number[]>();
  for (const { user, line } of randomEvents(EVENTS)) {
    expected.set(user, [...(expected.get(user) ?? []), line]);
  }
  for (let index = 0; index < shuffle.partitions; index++) {
    for await (const group of shuffle.groups(index)) {
      const lines = (await group.toArray()).map(({ line }) => line);
      expect(lines).toEqual(expected.get(group.key));
      expected.delete(group.key);
    }
  }
  expect([...expected.keys()]).toEqual([]);
}

async function expectExactRun(where: string) {
  const told = await run("--store", where, "--events", String(EVENTS), "--kills", String(KILLS));
  expect(told).toContain(`${EVENTS} events of`);
  expect(told).toContain(`whose task was run again: ${KILLS}`);
  await expectExactGroups(where);
}

test("over a FileStore", () => expectExactRun(`file:${join(folder, "file")}`));

test("over a LogStore", () => expectExactRun(`log:${join(folder, "log")}`));

test("over a Client", async () => {
  await using server = await Server.listen(new Dict(), { address: "ws://127.0.0.1:0" });
  await expectExactRun(server.address);
});

test("a run that was killed itself is gone on with", async () => {
  const where = `log:${join(folder, "again")}`;
  const words = ["--store", where, "--events", String(EVENTS), "--kills", "0"];
  const first = spawn(process.execPath, [main, ...words], {
    // A process that is killed leaves its temporary files.
    env: { ...process.env, TMPDIR: folder },
    stdio: "ignore",
  });
  const ended = once(first, "exit");
  await using store = openStore(where);
  const shuffle = shuffleOf(store);
  while ((await shuffle.tasks()).length === 0 && first.exitCode === null) await tick();
  first.kill("SIGKILL");
  expect(await ended).toEqual([null, "SIGKILL"]);
  await run(...words);
  await expectExactGroups(where);
});

test("Ctrl-C leaves nothing in the temporary directory", async () => {
  const temporary = await mkdtemp(join(folder, "temporary-"));
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: "inherit",
  });
  const ended = once(child, "exit");
  const isWorking = async () => (await readdir(temporary, { recursive: true })).length > 2;
  while (!(await isWorking())) await tick();
  child.kill("SIGINT");
  expect(await ended).toEqual([130, null]);
  expect(await readdir(temporary)).toEqual([]);
});

/** Lets the other processes run for a moment. */
function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}
