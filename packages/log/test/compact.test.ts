import { statSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { Child } from "./child.js";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next } = directories();
const sizeOf = (directory: string) =>
  filesOf(directory, ".seg").reduce((sum, path) => sum + statSync(path).size, 0);

/** Kills of a compaction; the full count is `PARTD_KILLS=200`. */
const KILLS = Number(process.env["PARTD_KILLS"] ?? 12);

test("compact keeps every value and gives the space of what was deleted back", async () => {
  const directory = next();
  await using store = new LogStore(directory, { segmentSize: 10_000 });
  const expected = new Map<string, string>();
  for (let i = 0; i < 400; i++) {
    const key = `k${(i * i) % 17}`;
    const value = `${i};`.repeat(1 + (i % 9));
    if (i % 31 === 30) {
      await store.delete(key);
      expected.delete(key);
    } else if (i % 37 === 36) {
      await store.iset(key, bytes(value));
      if (!(await store.get(key)).length) throw new Error("iset sets");
      expected.set(key, text(await store.get(key)));
    } else {
      await store.append({ [key]: bytes(value), big: bytes("b".repeat(100)) });
      expected.set(key, (expected.get(key) ?? "") + value);
      expected.set("big", (expected.get("big") ?? "") + "b".repeat(100));
    }
  }
  await store.delete("big");
  expected.delete("big");
  const keys = [...expected.keys()];
  const check = async (from: LogStore) => {
    expect((await from.get([...keys, "big"])).map(text)).toEqual([
      ...keys.map((key) => expected.get(key)),
      "",
    ]);
    const listed: unknown[] = [];
    for await (const key of from.keys()) listed.push(key);
    expect(listed.sort()).toEqual(keys.toSorted());
  };
  await check(store);
  const before = sizeOf(directory);
  const seen: number[] = [];
  await store.compact({
    onProgress: ({ bytesDone, bytesTotal }) => seen.push(bytesDone / bytesTotal),
  });
  expect(seen.at(-1)).toBe(1);
  expect(sizeOf(directory)).toBeLessThan(before / 3);
  await check(store);
  await store.append({ k0: bytes("after") });
  expected.set("k0", `${expected.get("k0") ?? ""}after`);
  await check(store);
  await store.delete("k1");
  expected.set("k1", "");
  expect(text(await store.get("k1"))).toBe("");
  expected.delete("k1");
  keys.splice(keys.indexOf("k1"), 1);
  await store.compact();
  await check(store);
  await store.close();
  await using again = new LogStore(directory);
  await check(again);
  const verified: number[] = [];
  const { damage } = await again.verify({
    onProgress: ({ bytesDone, bytesTotal }) => verified.push(bytesDone / bytesTotal),
  });
  expect(damage).toEqual([]);
  expect(verified.at(-1)).toBe(1);
  expect(verified).toEqual(verified.toSorted((a, b) => a - b));
});

test("values that are larger than what is moved at a time", async () => {
  const directory = next();
  await using store = new LogStore(directory, { segmentSize: 50 * 2 ** 20 });
  const piece = new Uint8Array(30 * 2 ** 20);
  for (let i = 0; i < 5; i++) await store.append({ large: piece.fill(i + 1), small: bytes("s") });
  await store.compact();
  let offset = 0;
  for await (const part of store.stream("large")) {
    for (let i = 0; i < part.length; i += 65_521) {
      expect(part[i]).toBe(1 + Math.floor((offset + i) / piece.length));
    }
    offset += part.length;
  }
  expect(offset).toBe(5 * piece.length);
  expect(text(await store.get("small"))).toBe("sssss");
});

test("nothing is left to read, and a compaction of nothing is none", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  await store.compact();
  await store.append({ x: bytes("1") });
  await store.delete("x");
  await store.compact();
  expect(filesOf(directory, ".seg")).toEqual([]);
  await store.append({ x: bytes("2") });
  expect(text(await store.get("x"))).toBe("2");
});

test("others append, read and delete while it runs", async () => {
  const directory = next();
  await using store = new LogStore(directory, { segmentSize: 30_000 });
  const writers = ["a", "b"].map(
    (name) => new Child([directory, name, 400, { segmentSize: 1_000 }]),
  );
  let deleted = 0;
  for (let i = 0; i < 8; i++) {
    await Promise.all(writers.map((child) => child.told(child.lines.length + 5)));
    const read = async () => {
      const values = (await store.get(["all", "own"])).map(text);
      expect(values[0]).toMatch(/^(<[ab]\d+>)*$/);
    };
    await Promise.all([
      store.compact(),
      read(),
      store.append({ own: bytes(`${i}`) }).then(read),
      store.pop("gone").then((value) => {
        deleted += value.length;
      }),
      store.append({ gone: bytes(".") }),
    ]);
  }
  await Promise.all(writers.map((child) => child.end()));
  await store.compact();
  const [all = "", own, gone = ""] = (await store.get(["all", "own", "gone"])).map(text);
  for (const name of ["a", "b"]) {
    const own = (all.match(/<\w\d+>/g) ?? []).filter((item) => item[1] === name);
    expect(own).toEqual(Array.from({ length: 400 }, (_, i) => `<${name}${i}>`));
  }
  expect(own).toBe("01234567");
  expect(deleted + gone.length).toBe(8);
  await store.close();
});

test("drop while others write and compact leaves no more than what came after it", async () => {
  const directory = next();
  await using store = new LogStore(directory);
  const children = [
    new Child([directory, "a", 300, { segmentSize: 2_000 }]),
    new Child([directory, "b", 300, { segmentSize: 2_000 }]),
    new Child([directory, "c", 5, { compact: true, segmentSize: 2_000 }]),
  ];
  for (let i = 0; i < 5; i++) {
    await Promise.all(children.slice(0, 2).map((child) => child.told(child.lines.length + 10)));
    const told = children.slice(0, 2).map((child) => child.lines.length);
    await store.drop();
    const all = text(await store.get("all"));
    expect(all).toMatch(/^(<[ab]\d+>)*$/);
    for (const [, name, number] of all.matchAll(/<(\w)(\d+)>/g)) {
      expect(Number(number)).toBeGreaterThanOrEqual(told["ab".indexOf(name as string)] as number);
    }
  }
  await Promise.all(children.map((child) => child.end()));
  await store.drop();
  expect(filesOf(directory, ".seg")).toEqual([]);
  expect(filesOf(directory, ".idx")).toEqual([]);
});

test(
  `a compaction that is killed at ${KILLS} random moments leaves everything as it was`,
  async () => {
    const directory = next();
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
    const filled = new LogStore(directory, { segmentSize: 100_000 });
    for (let i = 0; i < 40; i++) {
      await filled.append(keys.map((key) => [key, bytes(`${key}:${i};`)] as const));
    }
    await filled.close();
    const expected = keys.map((key) =>
      Array.from({ length: 40 }, (_, i) => `${key}:${i};`).join(""),
    );
    for (let kill = 0; kill < KILLS; kill++) {
      const child = new Child([directory, "", 1e6, { compact: true, segmentSize: 30_000 }]);
      await child.told(1);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 25));
      await child.kill();
      await using store = new LogStore(directory);
      expect((await store.get(keys)).map(text)).toEqual(expected);
      expect((await store.verify()).damage).toEqual([]);
    }
    await using store = new LogStore(directory);
    await store.compact();
    expect((await store.get(keys)).map(text)).toEqual(expected);
    const names = filesOf(directory, "").filter((path) => !path.endsWith(".partd-log"));
    expect(names.every((path) => /[0-9a-f]{16}\.(seg|idx)$/.test(path))).toBe(true);
    expect(filesOf(directory, ".seg")).toHaveLength(1);
  },
  60_000 + KILLS * 5_000,
);

test("compactions of one store wait for one another, and lose nothing", async () => {
  const directory = next();
  await using store = new LogStore(directory, { segmentSize: 2 ** 16 });
  let expected = "";
  let isOver = false;
  const compactions = [0, 1].map(async () => {
    while (!isOver) {
      await store.compact();
      await new Promise(setImmediate);
    }
  });
  for (let round = 0; round < 200; round++) {
    const piece = `<${round}>`;
    expected += piece;
    await store.append({ x: bytes(piece), [`k${round % 4}`]: new Uint8Array(20_000) });
    if (round % 5 === 4) await store.delete(["k0", "k1", "k2", "k3"]);
    expect(text(await store.get("x"))).toBe(expected);
  }
  isOver = true;
  await Promise.all(compactions);
  await using other = new LogStore(directory);
  expect(text(await other.get("x"))).toBe(expected);
});
