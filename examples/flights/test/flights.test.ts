import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));

const run = promisify(execFile);

async function flights(...args: string[]): Promise<string> {
  return (await run(process.execPath, [main, ...args])).stdout;
}

test("groups flights over several row groups, and agrees with a direct pass", async () => {
  const figures = JSON.parse(await flights("--flights", "300000", "--top", "3", "--json"));
  expect(figures.flights).toBe(300_000);
  expect(figures.busiest.map(({ origin }: { origin: string }) => origin)).toContain("ORD");
  expect(figures.busiest).toHaveLength(3);
});

test("prints a table, and says what it can do", async () => {
  expect(await flights("--flights", "5000", "--top", "2")).toMatch(
    /^origin .*\n\w{3} .*\n\w{3} .*\n\n/,
  );
  expect(await flights("--help")).toContain("Usage: npm start");
});

test("refuses options that make no sense, and a directory that is not its own", async () => {
  const directory = await mkdtemp(join(tmpdir(), "partd-flights-"));
  try {
    await writeFile(join(directory, "thesis.txt"), "mine");
    for (const [args, message] of [
      [["--path", directory], /holds something/],
      [["--batch", "0"], /--batch takes a whole number/],
      [["--flights", "many"], /--flights takes a whole number/],
      [["--fligths", "5"], /fligths/],
    ] as const) {
      await expect(flights(...args)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringMatching(message),
      });
    }
    expect(await readdir(directory)).toEqual(["thesis.txt"]);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("Ctrl-C ends it, and the temporary directory is gone", async () => {
  const parent = await mkdtemp(join(tmpdir(), "partd-flights-"));
  const watcher = watch(parent);
  const made = once(watcher, "change");
  try {
    const child = spawn(process.execPath, [main], {
      env: { ...process.env, TMPDIR: parent },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const exit = once(child, "exit");
    let told = "";
    child.stderr.on("data", (text) => {
      told += text;
    });
    await made;
    child.kill("SIGINT");
    expect(await exit).toEqual([130, null]);
    expect(told).toContain("flights: stopped; nothing is left behind");
    expect(await readdir(parent)).toEqual([]);
  } finally {
    watcher.close();
    await rm(parent, { recursive: true });
  }
});
