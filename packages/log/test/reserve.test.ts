import { existsSync, linkSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { Reserve } from "../src/data-set/reserve.js";
import { directories } from "./directories.js";

const { next } = directories();

test("the reserve is given up once for what a full disk refuses, and made again", async () => {
  const folder = next();
  mkdirSync(folder);
  const path = join(folder, "reserve");
  const reserve = new Reserve(path);
  reserve.make();
  expect(statSync(path).size).toBeGreaterThan(0);
  const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
  const wrapped = new Error("could not write", { cause: full });
  const onceFreed = async () => {
    if (existsSync(path)) throw wrapped;
    return "done";
  };
  expect(await reserve.spend(onceFreed)).toBe("done");
  await expect(reserve.spend(() => Promise.reject(full))).rejects.toBe(full);
  reserve.make();
  const other = new Error("something else");
  await expect(reserve.spend(() => Promise.reject(other))).rejects.toBe(other);
  expect(existsSync(path)).toBe(true);
});

test.each([
  ["a symbolic link", symlinkSync],
  ["a hard link", linkSync],
])("%s in its place adds no zeros to a file elsewhere", (_, link) => {
  const folder = next();
  mkdirSync(folder);
  const file = join(folder, "of the user");
  writeFileSync(file, "precious");
  link(file, join(folder, "reserve"));
  new Reserve(join(folder, "reserve")).make();
  expect(statSync(file).size).toBe("precious".length);
});
