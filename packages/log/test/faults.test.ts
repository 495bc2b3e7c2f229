import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { directories } from "./directories.js";

const { next } = directories();

function told(scenario: string): unknown {
  const program = join(import.meta.dirname, "faults.mjs");
  return JSON.parse(
    execFileSync(process.execPath, [program, next(), scenario], { encoding: "utf8" }),
  );
}

test("an append that could not be brought to the disk is not there, for no one", () => {
  expect(told("append")).toEqual(["ERR_PARTD_IO EIO", "1", "1", "13", "13"]);
});

test("a compaction whose line in the manifest could not be brought to the disk loses nothing", () => {
  expect(told("compact")).toEqual(["ERR_PARTD_IO EIO", "1", "1", "13", "13"]);
});
