import { lstatSync, readFileSync } from "node:fs";
import { link, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect, createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Server } from "@partd/server";
import { listenOnFile } from "../src/server/socket-file.js";
import { Child } from "./child.js";

let folder: string;
let path: string;
let children: Child[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-socket-"));
  path = join(folder, "x.sock");
  children = [];
});

afterEach(async () => {
  await Promise.all(children.map((child) => child.kill()));
  await rm(folder, { recursive: true, force: true });
});

test.each(["a stale socket", "nothing"])(
  "a server that stands still before it takes the place of %s changes nothing when it wakes up",
  async (before) => {
    if (process.platform !== "linux") return;
    if (before === "a stale socket") await leaveStale(path);
    const slow = await stopped("listen");
    const other = createServer();
    const remove = await listenOnFile(other, path, 50);
    const { ino } = lstatSync(path);

    slow.process.kill("SIGCONT");
    expect(await slow.line()).toBe("ERR_PARTD_IO");
    expect(lstatSync(path).ino).toBe(ino);
    await reach(path);
    await slow.exited;
    expect(await readdir(folder)).toEqual(["x.sock"]);
    await remove();
    other.close();
    expect(await readdir(folder)).toEqual([]);
  },
);

test("a server that was killed at that step is passed over at once, and leaves nothing", async () => {
  if (process.platform !== "linux") return;
  await leaveStale(path);
  await (await stopped("listen")).kill();
  const other = createServer();
  const remove = await listenOnFile(other, path, Number.POSITIVE_INFINITY);
  expect(await readdir(folder)).toEqual(["x.sock"]);
  await remove();
  other.close();
});

test.each(["made", "bound"] as const)(
  "of a server that was killed when its hidden folder was %s, the next one leaves nothing",
  async (when) => {
    if (process.platform !== "linux") return;
    await (await stopped(when)).kill();
    const users = [".config", ".x.sock.folder", ".x.sock.sevenly"];
    for (const name of users) await mkdir(join(folder, name));
    await writeFile(join(folder, ".x.sock.folder", "s"), "text");
    const other = createServer();
    const remove = await listenOnFile(other, path);
    expect(await readdir(folder)).toEqual([...users, "x.sock"]);
    await remove();
    other.close();
  },
);

test("a server whose folder was taken for a killed one's makes another", async () => {
  if (process.platform !== "linux") return;
  const slow = await stopped("made");
  const other = createServer();
  const remove = await listenOnFile(other, path);
  expect(await readdir(folder)).toEqual(["x.sock"]);
  await remove();
  other.close();
  slow.process.kill("SIGCONT");
  expect(await slow.line()).toBe("listens");
  await reach(path);
});

test("a server that stands still before it removes its socket removes no other's", async () => {
  if (process.platform !== "linux") return;
  const slow = await stopped("close");
  // Its socket still answers, so that no one can take its place.
  const taken = { code: "ERR_PARTD_IO", message: expect.stringContaining("already listens") };
  await expect(listenOnFile(createServer(), path, 50)).rejects.toMatchObject(taken);
  slow.process.kill("SIGCONT");
  expect(await slow.line()).toBe("closed");
  expect(await readdir(folder)).toEqual([]);
});

test("of twelve servers that start at once one wins, and nothing else is left", async () => {
  await leaveStale(path);
  const servers = Array.from({ length: 12 }, () => createServer());
  const outcomes = await Promise.allSettled(servers.map((server) => listenOnFile(server, path)));
  const winners = outcomes.flatMap((o) => (o.status === "fulfilled" ? [o.value] : []));
  expect(winners).toHaveLength(1);
  expect(await readdir(folder)).toEqual(["x.sock"]);
  await winners[0]?.();
  for (const server of servers) server.close();
});

test("a file of the user's in the place of the lock stays, and the error names it", async () => {
  await writeFile(`${path}.lock`, "text");
  await expect(Server.listen(new Dict(), { address: `ipc://${path}` })).rejects.toMatchObject({
    code: "ERR_PARTD_IO",
    path: `${path}.lock`,
  });
  expect(await readFile(`${path}.lock`, "utf8")).toBe("text");
  expect(await readdir(folder)).toEqual(["x.sock.lock"]);
});

test("a server with a long path removes nothing in folders that are open when it closes", async () => {
  const long = join(folder, "d".repeat(103 - folder.length));
  await mkdir(long);
  await writeFile(join(folder, "s"), "text");
  const server = await Server.listen(new Dict(), { address: `ipc://${long}/s` });
  const handles = await Promise.all(Array.from({ length: 40 }, () => open(folder)));
  await server.close();
  await Promise.all(handles.map((handle) => handle.close()));
  expect(await readFile(join(folder, "s"), "utf8")).toBe("text");
});

/** A server in a process that stands still at that step. */
async function stopped(when: "listen" | "close" | "made" | "bound"): Promise<Child> {
  const child = new Child("stops.mjs", path, when);
  children.push(child);
  if (when === "close") expect(await child.line()).toBe("listens");
  expect(await child.line()).toBe("at the step");
  const isStopped = () => / T \d/.test(readFileSync(`/proc/${child.process.pid}/stat`, "latin1"));
  while (!isStopped()) await sleep(1);
  return child;
}

function reach(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(void socket.destroy()));
    socket.once("error", reject);
  });
}

/** A socket file that nobody listens on, as a killed server leaves it. */
async function leaveStale(path: string): Promise<void> {
  const server = createNetServer();
  await new Promise<void>((resolve) => server.listen(`${path}.0`, resolve));
  await link(`${path}.0`, path);
  await new Promise((resolve) => server.close(resolve));
}
