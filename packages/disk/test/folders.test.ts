import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { makeFolders } from "@partd/disk";

const root = mkdtempSync(join(tmpdir(), "folders-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("folders are made with those above them, and may be there already", () => {
  for (const _ of [1, 2]) makeFolders(join(root, "a/b/c"));
  expect(statSync(join(root, "a/b/c")).isDirectory()).toBe(true);
});

test("a file, a link to nothing and a folder that takes no others are told", () => {
  writeFileSync(join(root, "file"), "");
  symlinkSync("nothing", join(root, "link"));
  expect(() => makeFolders(join(root, "file"))).toThrow(/EEXIST/);
  expect(() => makeFolders(join(root, "file/x"))).toThrow(/ENOTDIR/);
  expect(() => makeFolders(join(root, "link"))).toThrow(/ENOENT/);
  if (process.platform === "linux") expect(() => makeFolders("/proc/self/x/y")).toThrow(/ENOENT/);
});
