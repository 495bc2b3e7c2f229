import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));

async function flights(...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [main, ...args])).stdout;
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
