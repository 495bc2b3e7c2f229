import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { bytes, directories, text } from "./directories.js";

const { next } = directories();

test("a segmentSize out of its range is refused, and said so", () => {
  const wrong = [0, -1, 1.5, 2 ** 40 + 1, Number.NaN, Number.POSITIVE_INFINITY, "5000", null];
  for (const value of wrong) {
    const message = `segmentSize must be an integer from 1 to ${2 ** 40}, not ${shown(value)}.`;
    expect(() => new LogStore("never made", { segmentSize: value as number })).toThrow(
      expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
    );
  }
  for (const segmentSize of [1, 2 ** 40, undefined]) new LogStore("never made", { segmentSize });
});

test.each([
  [{ fsnc: true }, "new LogStore() has no option fsnc. Did you mean fsync?"],
  [{ fsync: 5 }, "fsync must be true or false, not 5."],
  [{ salvage: "no" }, 'salvage must be true or false, not "no".'],
])("%p is refused", (options, message) => {
  expect(() => new LogStore("never made", options as object)).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
  );
});

test("a path is a string or a file: URL", () => {
  for (const path of ["", new URL("https://example.org/"), 5]) {
    expect(() => new LogStore(path as string)).toThrow(
      expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
    );
  }
  expect(new LogStore(new URL("file:///never/made")).path).toBe("/never/made");
});

test("create: false takes a data set that is there, and makes none", async () => {
  const path = next();
  const mistyped = new LogStore(path, { create: false });
  await expect(mistyped.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_IO", path });
  expect(existsSync(path)).toBe(false);
  mkdirSync(path);
  await expect(mistyped.append({ x: bytes("1") })).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
  expect(readdirSync(path)).toEqual([]);

  const made = new LogStore(path);
  await made.append({ x: bytes("1") });
  await made.close();
  await using there = new LogStore(path, { create: false });
  expect(text(await there.get("x"))).toBe("1");
});

test("a path that is undefined is no temporary store, unless dir says so", async () => {
  const unset: string | undefined = undefined;
  const refused = { code: "ERR_PARTD_VALUE", message: expect.stringContaining("is undefined") };
  const calls: [path?: undefined, options?: object][] = [
    [unset],
    [unset, {}],
    [unset, { fsync: true }],
  ];
  for (const given of calls) {
    expect(() => new LogStore(...given)).toThrow(expect.objectContaining(refused));
  }
  await using store = new LogStore();
  expect(store.path).toContain("partd-log-");
});

test("dir says where a temporary store lies, of which nothing is left behind", async () => {
  const dir = join(next(), "made", "anew");
  const store = new LogStore(undefined, { dir });
  expect(store.path.startsWith(join(dir, "partd-log-"))).toBe(true);
  await store.append({ x: bytes("1") });
  expect(readdirSync(store.path).length).toBeGreaterThan(0);
  await store.close();
  expect(readdirSync(dir)).toEqual([]);
  expect(() => new LogStore(next(), { dir })).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
  );
});

/** As in a program's text. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

test("compact and verify refuse an option that they do not have", async () => {
  await using store = new LogStore(next());
  const misspelt = { onProgres: () => {} } as object;
  for (const [name, call] of [
    ["compact", () => store.compact(misspelt)],
    ["verify", () => store.verify(misspelt)],
  ] as const) {
    await expect(call()).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: `${name}() has no option onProgres. Did you mean onProgress?`,
    });
  }
});

test("a directory of a FileStore is left alone, and what is no file is no segment", async () => {
  const other = next();
  mkdirSync(join(other, ".partd"), { recursive: true });
  await using store = new LogStore(other);
  await expect(store.append({ x: bytes("1") })).rejects.toMatchObject({
    code: "ERR_PARTD_IO",
    message: expect.stringContaining("a data set of a FileStore"),
  });
  expect(readdirSync(other)).toEqual([".partd"]);
  await using own = new LogStore(next());
  await own.append({ x: bytes("1") });
  mkdirSync(join(own.path, "0123456789abcdef.seg"));
  await using again = new LogStore(own.path);
  expect(text(await again.get("x"))).toBe("1");
});
