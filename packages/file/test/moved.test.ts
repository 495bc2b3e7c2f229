import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { type Key, tuple } from "@partd/core";
import { appendUntilMoved } from "@partd/testing";
import { endFaults, faults } from "./faults.js";
import { directories } from "./program.js";

const { FileStore } = await import("@partd/file");
const { make, clean } = directories();
afterAll(clean);
afterAll(endFaults);

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
const GONE = { code: "ERR_PARTD_IO", message: expect.stringContaining("was moved or removed") };

async function keptIn(directory: string): Promise<string> {
  // Of a store that still runs: whoever comes later would wait until it is stale.
  rmSync(join(directory, ".partd", "lock"), { recursive: true });
  await using store = new FileStore(directory);
  return text(await store.get("kept"));
}

test("a data set that is moved gets what is appended, or it is refused", async () => {
  const directory = join(make(), "set");
  const store = new FileStore(directory);
  await store.append({ kept: bytes("before,") });
  renameSync(directory, `${directory}-moved`);
  const done = await appendUntilMoved(store);
  await expect(store.append([[tuple("a", "b"), bytes("1")]])).rejects.toMatchObject(GONE);
  await expect(store.get("kept")).rejects.toMatchObject(GONE);
  await expect(store.delete("kept")).rejects.toMatchObject(GONE);
  await store.close();
  expect(existsSync(directory)).toBe(false);
  expect(done.map((one) => `before,${one}`)).toContain(await keptIn(`${directory}-moved`));
});

test.each(["key", "tuple", "aside", "set"])(
  "one that is moved away just before a file is opened does not come back in its old place: %s",
  async (kind) => {
    const directory = join(make(), "set");
    const store = new FileStore(directory);
    await store.append({ kept: bytes("1") });
    const key = { key: "x", tuple: tuple("a", "b"), aside: tuple("kept", "x"), set: "x" }[kind];
    faults.rule = (name, [path]) => {
      const isNext = name === "open" && !String(path).includes(join(".partd", "lock"));
      if (isNext && existsSync(directory)) renameSync(directory, `${directory}-moved`);
      return undefined;
    };
    const value = bytes("2");
    const change = kind === "set" ? store.iset("x", value) : store.append([[key as Key, value]]);
    await expect(change).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
    faults.rule = undefined;
    await store.close();
    expect(existsSync(`${directory}-moved`)).toBe(true);
    expect(existsSync(directory)).toBe(false);
  },
);

test("a data set that is removed begins anew, as after the drop of Python's partd", async () => {
  const directory = join(make(), "set");
  await using store = new FileStore(directory);
  for (const isMade of [false, true]) {
    await store.append({ kept: bytes("1"), [isMade ? "made" : "removed"]: bytes("1") });
    rmSync(directory, { recursive: true });
    if (isMade) mkdirSync(directory);
    await store.append({ kept: bytes("2") });
    await using other = new FileStore(directory);
    for (const one of [store, other]) {
      expect((await one.get(["kept", "removed", "made"])).map(text)).toEqual(["2", "", ""]);
    }
    await other.drop();
  }
});

test("another data set in its place, also a copy made while the lock was held, is left alone", async () => {
  const [directory, other] = [join(make(), "set"), join(make(), "set")];
  await using another = new FileStore(other);
  await another.append({ kept: bytes("other") });
  await another.close();
  for (const isCopy of [false, true]) {
    const store = new FileStore(directory);
    await store.append({ kept: bytes("1") });
    if (isCopy) cpSync(directory, `${directory}-new`, { recursive: true });
    else renameSync(other, `${directory}-new`);
    const files = readdirSync(`${directory}-new`, { recursive: true }).sort();
    renameSync(directory, `${directory}-old`);
    renameSync(`${directory}-new`, directory);
    const done = await appendUntilMoved(store);
    await store.close();
    const left = readdirSync(directory, { recursive: true }).filter(
      (name) => !String(name).includes("lock"),
    );
    expect(left.sort()).toEqual(files.filter((name) => !String(name).includes("lock")));
    expect(done.map((one) => `1${one}`)).toContain(await keptIn(`${directory}-old`));
    rmSync(directory, { recursive: true });
    rmSync(`${directory}-old`, { recursive: true });
  }
});
