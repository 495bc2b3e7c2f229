import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { Child } from "./child.js";
import { bytes, directories, text } from "./directories.js";

const { next } = directories();
const KEYS = ["all", "k0", "k1", "k2", "k3", "k4", "k5", "k6"];

/** Kills in each test; the full count is `PARTD_KILLS=200`. */
const KILLS = Number(process.env["PARTD_KILLS"] ?? 12);

/** Checks that batches are whole and in order, and gives how many of each writer there are. */
function batchesOf(values: readonly string[]): Map<string, number> {
  const [all = "", ...rest] = values;
  const counts = new Map<string, number>();
  for (const [, name = "", i] of all.matchAll(/<(\D+)(\d+)>/g)) {
    const count = counts.get(name) ?? 0;
    if (Number(i) !== count) throw new Error(`<${name}${i}> stands where <${name}${count}> should`);
    counts.set(name, count + 1);
  }
  rest.forEach((value, key) => {
    const found = new Map<string, string[]>();
    for (const [, name = "", i = ""] of value.matchAll(/<(\D+)(\d+)>/g)) {
      const list = found.get(name);
      if (list) list.push(i);
      else found.set(name, [i]);
    }
    for (const [name, count] of counts) {
      const expected: number[] = [];
      for (let i = 0; i < count; i++) {
        for (let k = 0; k < 5; k++) if ((i + k * 3) % 7 === key) expected.push(i);
      }
      const there = (found.get(name) ?? []).join();
      if (there !== expected.join()) throw new Error(`k${key} holds ${there} of ${name}`);
    }
    for (const name of found.keys())
      if (!counts.has(name)) throw new Error(`${name} is in k${key} alone`);
  });
  return counts;
}

test("4 writers and 2 readers at once: every resolved batch is seen, whole and in order", async () => {
  const directory = next();
  const writers = ["a", "b", "c", "d"].map((name) => new Child([directory, name, 300]));
  let over = false;
  const reader = async () => {
    await using store = new LogStore(directory);
    let before = new Map<string, number>();
    while (!over) {
      const told = writers.map(({ lines }) => lines.length);
      const counts = batchesOf((await store.get(KEYS)).map(text));
      writers.forEach((_, i) => {
        const name = "abcd"[i] as string;
        const count = counts.get(name) ?? 0;
        expect(count).toBeGreaterThanOrEqual(told[i] as number);
        expect(count).toBeGreaterThanOrEqual(before.get(name) ?? 0);
      });
      before = counts;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const readers = Promise.all([reader(), reader()]);
  await Promise.all([
    readers,
    Promise.all(writers.map((child) => child.end())).finally(() => {
      over = true;
    }),
  ]);
  await using store = new LogStore(directory);
  const counts = batchesOf((await store.get(KEYS)).map(text));
  expect([...counts.values()]).toEqual([300, 300, 300, 300]);
});

test("a batch that is appended while its keys are read is seen whole or not at all", async () => {
  await using store = new LogStore(next());
  await store.append({ known: bytes("-") });
  for (let turns = 0; turns < 60; turns++) {
    const read = store.get(["known", `new${turns}`]);
    for (let turn = 0; turn < turns; turn++) await null;
    const appended = store.append({ known: bytes(`<${turns}>`), [`new${turns}`]: bytes("1") });
    const [known = "", fresh] = (await read).map(text);
    expect([turns, known.endsWith(`<${turns}>`)]).toEqual([turns, fresh === "1"]);
    await appended;
  }
});

test("writers whose clocks disagree: what is appended one after the other is read in that order", async () => {
  const directory = next();
  const children = [0, -3_600_000, 86_400_000].map(
    (skew, i) =>
      new Child([directory, "abc"[i] as string, "on demand", { skew, segmentSize: 500 }]),
  );
  let expected = "";
  for (let i = 0; i < 150; i++) {
    const line = `${i},`;
    await (children[(i * 7 + (i >> 3)) % 3] as Child).ask(line);
    expected += line;
  }
  await using store = new LogStore(directory);
  expect(text(await store.get("order"))).toBe(expected);
  for (const child of children) await child.end();
  expect(text(await store.get("order"))).toBe(expected);
  await store.compact();
  expect(text(await store.get("order"))).toBe(expected);
});

test(
  `SIGKILL at ${KILLS} random moments: every resolved batch is there, none is half there`,
  async () => {
    const directory = next();
    const told = new Map<string, number>();
    for (let kill = 0; kill < KILLS; kill++) {
      const names = [`x${"ab"[kill % 2]}`, "y"].map(
        (name) => `${name}-${"abcdefghijklmnopqrstuvwxyz"[kill % 26]}${"z".repeat(kill / 26)}_`,
      );
      const children = names.map((name) => new Child([directory, name, 1e9]));
      await Promise.all(children.map((child) => child.told(1 + Math.random() * 40)));
      await Promise.all(children.map((child) => child.kill()));
      names.forEach((name, i) => {
        told.set(name, (children[i] as Child).lines.length);
      });
      await using store = new LogStore(directory);
      const counts = batchesOf((await store.get(KEYS)).map(text));
      for (const [name, count] of told) {
        expect(counts.get(name) ?? 0).toBeGreaterThanOrEqual(count);
      }
      // What is not in the way of later ones is known from now on.
      for (const [name, count] of counts) told.set(name, count);
      if (kill % 5 === 4) await store.compact();
    }
    await using store = new LogStore(directory);
    expect((await store.verify()).damage).toEqual([]);
  },
  120_000 + KILLS * 5_000,
);
