import { truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import { directories } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

test("size and long entries look at a file and do not read it", async () => {
  const path = make();
  await using store = new FileStore(path);
  await store.append({ huge: new Uint8Array(1), small: new Uint8Array(3) });
  await store.close();
  truncateSync(join(path, "huge"), TEBIBYTE); // A hole, which takes no space.
  await using opened = new FileStore(path);
  expect(await opened.size("huge")).toBe(TEBIBYTE);
  expect(await opened.count()).toBe(2);
  let seen = 0;
  for await (const [, { byteLength }] of opened.entries({ longest: 1000 })) {
    seen += byteLength;
    if (seen > 2 ** 20) break;
  }
  expect(seen).toBeGreaterThan(2 ** 20);
});

test("size finds keys that lie aside, and is 0 for folders and keys with long names", async () => {
  await using store = new FileStore(make());
  await store.append([
    [tuple("x", "y"), new Uint8Array(2)],
    ["x", new Uint8Array(5)],
  ]);
  expect(await store.size("x")).toBe(5);
  expect(await store.size(tuple("x", "y"))).toBe(2);
  expect(await store.size("a".repeat(1000))).toBe(0);
  await store.delete("x");
  expect(await store.size("x")).toBe(0);
});

const TEBIBYTE = 2 ** 40;
