import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));

test("three workers shuffle 60,000 numbers into ten groups", () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [main], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  expect(stdout).toContain("ends in 7: 6000 numbers");
  expect(stdout).toContain("60000 numbers of 3 workers in 10 groups");
});

test("SIGTERM flushes and closes", async () => {
  const server = spawn(process.execPath, [main, "serve"], { stdio: ["ignore", "pipe", "inherit"] });
  const exit = new Promise((resolve) => server.once("exit", resolve));
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toMatch(/^serving ipc:/);
  server.kill("SIGTERM");
  expect((await lines.next()).value).toBe("flushed and closed");
  expect(await exit).toBe(0);
});
