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

test("each call of the file system fails in turn: done, or refused and as it was, and nothing is left", () => {
  const program = join(import.meta.dirname, "disk-faults.mjs");
  const thorough = process.env.PARTD_FAULTS === "all" ? ["thorough"] : [];
  const told = execFileSync(process.execPath, [program, next(), "fsync", ...thorough]);
  expect(String(told)).toMatch(/^\d{3,} faults\n$/);
});

const operations = ["append", "large", "set", "delete", "compact", "drop", "read"];
test.each(
  operations.flatMap((operation) => [
    [operation, "once"],
    [operation, "all"],
  ]),
)(
  "%s on a disk that fails each call in turn, %s: whole or not at all, and told so",
  (operation, how) => {
    const program = join(import.meta.dirname, "each-call.mjs");
    const out = execFileSync(process.execPath, [program, next(), operation, how]);
    expect(String(out)).toMatch(/^\d+ calls\n$/);
  },
);
