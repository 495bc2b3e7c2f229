import { cpSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { uniqueToken } from "@partd/disk";
import { LogStore } from "@partd/log";
import { bytes, directories, text } from "./directories.js";

const { next } = directories();

/** As `cp -al` copies a directory: its files have a name in each. */
function linkAll(from: string, to: string): void {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkAll(source, target);
    else linkSync(source, target);
  }
}

test("a copy made of hard links takes no appends, nor does its original, until one is a real copy", async () => {
  const [original, copy] = [next(), next()];
  await using first = new LogStore(original);
  await first.append({ x: bytes("1") });
  await first.close();
  linkAll(original, copy);
  const refused = { code: "ERR_PARTD_IO", message: expect.stringContaining("hard link") };
  for (const path of [original, copy]) {
    await using store = new LogStore(path);
    await expect(store.append({ x: bytes("2") })).rejects.toMatchObject(refused);
    expect(text(await store.get("x"))).toBe("1");
    expect((await store.verify()).damage).toEqual([]);
  }
  cpSync(copy, `${copy}-real`, { recursive: true });
  rmSync(copy, { recursive: true });
  for (const path of [original, `${copy}-real`]) {
    await using store = new LogStore(path);
    await store.append({ x: bytes("2") });
    expect(text(await store.get("x"))).toBe("12");
  }
});

test("a manifest whose maker was killed, or has not come to give it one name, takes appends", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  await store.count();
  const manifest = join(directory, ".partd-log", "manifest");
  linkSync(manifest, `${manifest}.of-one-that-ended`);
  linkSync(manifest, `${manifest}.${uniqueToken()}`);
  await store.append({ x: bytes("1") });
  expect(text(await store.get("x"))).toBe("1");
});

test.each([".partd-log", ".partd-log/lock", ".partd-log/compact"])(
  "a symbolic link in the place of %s leads nowhere",
  async (name) => {
    const directory = next();
    await using first = new LogStore(directory);
    await first.append({ x: bytes("1") });
    await first.compact();
    await first.close();
    const [path, elsewhere] = [join(directory, name), next()];
    renameSync(path, elsewhere);
    symlinkSync(elsewhere, path);
    const store = new LogStore(directory);
    const refused = { code: "ERR_PARTD_IO", message: expect.stringContaining("symbolic link") };
    await expect(store.append({ x: bytes("2") })).rejects.toMatchObject(refused);
    await store.close();
    rmSync(path);
    renameSync(elsewhere, path);
    await using again = new LogStore(directory);
    expect(text(await again.get("x"))).toBe("1");
  },
);

(process.platform === "linux" ? test : test.skip)(
  "where no folder can be made, an error says so",
  async () => {
    await using store = new LogStore("/proc/self/x");
    const refused = {
      code: "ERR_PARTD_IO",
      message: expect.stringContaining("no folder can be made"),
    };
    await expect(store.append({ x: bytes("1") })).rejects.toMatchObject(refused);
  },
);
