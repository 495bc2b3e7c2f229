import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "@jest/globals";
import { encodeKey, type Key, tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import { directories } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

async function keysOf(store: FileStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.keys()) keys.push(encodeKey(key));
  return keys.sort();
}

test("a key's file holds its bytes and nothing else, and a tuple's parts are folders", async () => {
  const directory = make();
  await using store = new FileStore(pathToFileURL(directory));
  await store.append([
    ["x", bytes("12")],
    [tuple("a", "b", 3), bytes("34")],
    ["a b/c", bytes("56")],
  ]);
  await store.append({ x: bytes("3") });
  expect(readFileSync(join(directory, "x"), "latin1")).toBe("123");
  expect(readFileSync(join(directory, "a", "b", "3"), "latin1")).toBe("34");
  expect(readFileSync(join(directory, "a b%2Fc"), "latin1")).toBe("56");
  await store.delete([tuple("a", "b", 3), "x"]);
  expect(readdirSync(directory).sort()).toEqual([".partd", "a b%2Fc"]);
});

const long = "k".repeat(300);
const hostile: Key[] = [
  long,
  `${long}2`,
  "é".repeat(200),
  tuple("x", long),
  tuple(long, "x"),
  tuple("deep", ...Array.from({ length: 40 }, () => "p".repeat(120))),
  "x",
  tuple("x", "y"),
  tuple("x", "y", "z"),
  "..",
  ".lock",
  ".partd",
  tuple(".partd", "journal"),
  "",
  tuple("", ""),
  "CON",
  "a.",
];

test.each([
  ["in order", hostile],
  ["in reverse", [...hostile].reverse()],
])("keys of which no two can be files in the same place live together, %s", async (_, keys) => {
  const directory = make();
  {
    await using store = new FileStore(directory);
    for (const [i, key] of keys.entries()) await store.append([[key, bytes(`${i};`)]]);
    await store.append(keys.map((key, i) => [key, bytes(`${i};`)] as const));
  }
  await using store = new FileStore(directory);
  expect(await keysOf(store)).toEqual(keys.map(encodeKey).sort());
  expect((await store.get(keys)).map(text)).toEqual(keys.map((_, i) => `${i};${i};`));
  for (const [i, key] of keys.entries()) {
    let streamed = "";
    for await (const piece of store.stream(key)) streamed += text(piece);
    expect(streamed).toBe(`${i};${i};`);
  }
  await store.iset(long, bytes("set"));
  await store.iset("x", bytes("set"));
  expect((await store.get([long, "x"])).map(text)).toEqual(["set", "set"]);
  expect((await store.pop(keys.slice(0, 8))).map((value) => value.byteLength > 0)).not.toContain(
    false,
  );
  expect(await keysOf(store)).toEqual(keys.slice(8).map(encodeKey).sort());
  await store.drop();
  expect(await keysOf(store)).toEqual([]);
  expect(readdirSync(directory)).toEqual([".partd"]);
  expect(readdirSync(join(directory, ".partd", "aside"))).toEqual([]);
});

test("a key stays where it is when the place that it could not have becomes free", async () => {
  const directory = make();
  await using one = new FileStore(directory);
  await using other = new FileStore(directory);
  await one.append([[tuple("x", "y"), bytes("1")]]);
  await other.append({ x: bytes("2") }); // Aside.
  await one.delete(tuple("x", "y"));
  expect(existsSync(join(directory, "x"))).toBe(false);
  await one.append({ x: bytes("3") });
  await other.append({ x: bytes("4") });
  expect(text(await one.get("x"))).toBe("234");
  expect(await keysOf(other)).toEqual(["x"]);
});

test("folders that a killed process has left empty go with the data set", async () => {
  const directory = make();
  await using store = new FileStore(directory);
  await store.append({ x: bytes("1") });
  for (const name of ["gone/deep/er", "theirs/gone"]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  writeFileSync(join(directory, "theirs", "#draft#"), "theirs");
  await store.drop();
  expect(readdirSync(directory).sort()).toEqual([".partd", "theirs"]);
  expect(readdirSync(join(directory, "theirs"))).toEqual(["#draft#"]);
});

test("what is not a key's file is neither listed nor removed", async () => {
  const directory = make();
  await using store = new FileStore(directory);
  await store.append([
    ["x", bytes("1")],
    [tuple("f", "x"), bytes("1")],
  ]);
  const theirs = ["notes~", "a+b.txt", ".lock", "f/#draft#", "%zz", "%41"];
  for (const name of theirs) writeFileSync(join(directory, name), "theirs");
  mkdirSync(join(directory, "folder+"));
  writeFileSync(join(directory, "folder+", "x"), "theirs");
  expect(await keysOf(store)).toEqual(["f/x", "x"]);
  await store.drop();
  for (const name of [...theirs, "folder+/x"]) {
    expect(readFileSync(join(directory, name), "latin1")).toBe("theirs");
  }
  expect(existsSync(join(directory, "x"))).toBe(false);
  expect(existsSync(join(directory, "f", "x"))).toBe(false);
});

test("files that others add to, remove or replace meanwhile are seen as they are", async () => {
  const directory = make();
  await using store = new FileStore(directory);
  const path = join(directory, "x");
  const idle = async () => {
    const lock = join(directory, ".partd", "lock");
    while (readdirSync(lock).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await store.append({ x: bytes("1") });
  await idle();
  writeFileSync(path, "2", { flag: "a" });
  await store.append({ x: bytes("3") });
  expect(readFileSync(path, "latin1")).toBe("123");
  await idle();
  rmSync(path);
  await store.append({ x: bytes("4") });
  expect(readFileSync(path, "latin1")).toBe("4");
  await idle();
  rmSync(directory, { recursive: true });
  await store.append({ x: bytes("5") });
  expect(readFileSync(path, "latin1")).toBe("5");
});

test("what another store has removed is not written to, even if it has another name", async () => {
  const directory = make();
  const { linkSync } = await import("node:fs");
  await using one = new FileStore(directory);
  await using other = new FileStore(directory);
  await one.append({ x: bytes("1") });
  linkSync(join(directory, "x"), join(directory, "backup~"));
  await other.delete("x");
  await one.append({ x: bytes("2") });
  expect(readFileSync(join(directory, "backup~"), "latin1")).toBe("1");
  await other.iset("x", bytes("3"));
  await one.append({ x: bytes("4") });
  expect(text(await other.get("x"))).toBe("34");
});

test("a stream goes on with the value as it was, whatever becomes of the key", async () => {
  await using store = new FileStore(make());
  const value = new Uint8Array(3 * 2 ** 20).map((_, i) => i % 251);
  await store.append({ x: value });
  const pieces: Uint8Array[] = [];
  for await (const piece of store.stream("x")) {
    if (pieces.length === 0) {
      await store.append({ x: bytes("more") });
      await store.delete("x");
    }
    pieces.push(piece);
  }
  expect(pieces.length).toBeGreaterThan(1);
  expect(Buffer.compare(Buffer.concat(pieces), value)).toBe(0);
});

test("a path is a string or a file: URL", () => {
  for (const path of ["", new URL("https://example.com/x"), 1 as never]) {
    expect(() => new FileStore(path)).toThrow(expect.objectContaining({ code: "ERR_PARTD_VALUE" }));
  }
});
