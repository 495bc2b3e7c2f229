import {
  appendFileSync,
  existsSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { isPartdError, type Key } from "@partd/core";
import { type Damage, LogStore } from "@partd/log";
import { asAfterCrash } from "./after-crash.js";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next, copyOf } = directories();

/** Bytes of a value under one checksum. */
const PIECE = 65_536;

/** All bytes but those of the long value: PARTD_FAULTS=all. */
const STEP = process.env.PARTD_FAULTS === "all" ? 1 : 23;

/** Each value is a token that stands nowhere else. "d" is under two checksums, "gone" is deleted. */
const WRITERS: Record<string, string>[][] = [
  [{ a: "<a0>", b: "<b0>", gone: "<g0>" }, { a: "<a1>" }], // Compacted.
  [{ b: "<b1>", c: "<c0>" }, { d: large("<d0>") }, { c: "<c1>", d: "<d1>" }], // Finished.
  [{ a: "<a2>", e: "<e0>" }, { b: "<b2>" }, { e: "<e1>" }], // Killed.
];
const KEYS = ["a", "b", "c", "d", "e"];

function large(token: string): string {
  return token.padEnd(PIECE, "x") + token.toUpperCase().padEnd(5000, "y");
}

/** The parts of each key's value that can be lost one without another, in their order. */
const PARTS = KEYS.map((key) =>
  WRITERS.flat().flatMap((batch) => {
    const value = batch[key] ?? "";
    return value.length > PIECE ? [value.slice(0, PIECE), value.slice(PIECE)] : value || [];
  }),
);

let whole = "";
beforeAll(async () => {
  const directory = next();
  for (const [i, batches] of WRITERS.entries()) {
    const store = new LogStore(directory);
    for (const batch of batches) {
      await store.append(Object.entries(batch).map(([key, value]) => [key, bytes(value)] as const));
    }
    if (i === 0) await store.compact();
    if (i === 1) await store.delete("gone");
    whole = i === 2 ? asAfterCrash(copyOf(directory)) : "";
    await store.close();
  }
});

interface Salvaged {
  /** Parts that are not there any more. */
  readonly lost: readonly string[];
  readonly leftOut: readonly Damage[];
}

/** Salvages the data set, and proves that what is left is whole, and no byte is wrong. */
async function salvage(directory: string, added: readonly string[] = []): Promise<Salvaged> {
  const before = await readable(directory);
  const salvaging = new LogStore(directory, { salvage: true });
  const { leftOut } = await salvaging.compact();
  await salvaging.close();
  await using store = new LogStore(directory);
  expect(await store.verify()).toMatchObject({ damage: [], torn: [] });
  const lost: string[] = [];
  for (const [i, value] of (await store.get(KEYS)).map(text).entries()) {
    let rest = value;
    for (const part of [...(PARTS[i] ?? []), ...(KEYS[i] === "e" ? added : [])]) {
      if (rest.startsWith(part)) rest = rest.slice(part.length);
      else lost.push(part);
    }
    if (rest !== "") throw new Error(`${KEYS[i]} has bytes that were not written: ${rest}`);
    if (before[i] !== undefined && before[i] !== value)
      throw new Error(`${KEYS[i]} has lost bytes`);
  }
  return { lost, leftOut };
}

/** The values that are read without a salvage. */
async function readable(directory: string): Promise<(string | undefined)[]> {
  await using store = new LogStore(directory);
  const values: (string | undefined)[] = [];
  for (const key of KEYS) {
    try {
      values.push(text(await store.get(key)));
    } catch (error) {
      if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
      values.push(undefined);
    }
  }
  return values;
}

/** Salvages a copy of the data set in which `damage` has spoilt the file. */
async function salvaged(
  path: string,
  indexed: boolean,
  damage: (path: string) => void,
): Promise<Salvaged> {
  const copy = copyOf(whole);
  if (!indexed) for (const index of filesOf(copy, ".idx")) rmSync(index);
  damage(path.replace(whole, copy));
  const result = await salvage(copy);
  // Nobody can tell a segment of a killed writer that was cut from one that was never longer.
  const isFinished = existsSync(path.replace(/seg$/, "idx"));
  if (result.lost.length > 0 && isFinished) expect(result.leftOut).not.toEqual([]);
  rmSync(copy, { recursive: true });
  return result;
}

function flip(offset: number): (path: string) => void {
  return (path) => {
    const damaged = readFileSync(path);
    damaged[offset]! ^= 1;
    writeFileSync(path, damaged);
  };
}

/** Some offsets of a file, few of them amid the long value. */
function* offsets(length: number, first = 0): Generator<number, void, undefined> {
  for (let at = first; at < length; at += at > 700 && at < length - 700 ? 2503 : STEP) yield at;
}

/** The parts that lie in a segment, with their offsets. */
function partsOf(path: string): Map<string, number> {
  const content = readFileSync(path, "latin1");
  const places = PARTS.flat().map((part) => [part, content.indexOf(part)] as const);
  return new Map(places.filter(([, at]) => at >= 0));
}

describe.each([true, false])("compact of a store that salvages, with indexes: %s", (indexed) => {
  test("any byte of a segment is damaged: it loses what shares a checksum with it", async () => {
    for (const path of filesOf(whole, ".seg")) {
      const parts = partsOf(path);
      for (const at of offsets(readFileSync(path).length, indexed ? 0 : 8)) {
        const { lost, leftOut } = await salvaged(path, indexed, flip(at));
        const hit = [...parts].find(([part, start]) => at >= start && at < start + part.length);
        if (hit) expect(lost).toContain(hit[0]);
        for (const part of lost) expect([...parts.keys()]).toContain(part);
        const known = leftOut.filter(({ keys }) => keys !== undefined);
        if (hit && known.length > 0)
          expect(namesIn(known)).toEqual(expect.arrayContaining(keysOf(lost)));
      }
    }
  });

  test("a segment is cut short anywhere: it loses what is behind", async () => {
    for (const path of filesOf(whole, ".seg")) {
      const parts = partsOf(path);
      const { length } = readFileSync(path);
      for (const at of offsets(length, indexed ? 4 : 11)) {
        const cut = (each: string) => truncateSync(each, at);
        const { lost } = await salvaged(path, indexed, cut);
        for (const part of lost) expect([...parts.keys()]).toContain(part);
        for (const [part, start] of parts) {
          if (part.length === PIECE && start + PIECE <= at) expect(lost).not.toContain(part);
        }
        if (!indexed) continue;
        for (const [part, start] of parts)
          if (start + part.length > at) expect(lost).toContain(part);
      }
    }
  });
});

test("any byte of an index is damaged: a salvage loses nothing", async () => {
  for (const path of filesOf(whole, ".idx")) {
    for (const at of offsets(readFileSync(path).length)) {
      expect(await salvaged(path, true, flip(at))).toEqual({ lost: [], leftOut: [] });
    }
  }
});

/** The data set as it is, and with a manifest that has nothing of the past. */
test.each(["grown", "condensed"])(
  "any byte of a %s manifest is damaged: it loses nothing",
  async (how) => {
    const directory = copyOf(whole);
    if (how === "condensed") {
      // A damaged line makes the next compaction condense it; others write on then.
      appendFileSync(join(directory, MANIFEST), "\nnot a line\n");
      await using store = new LogStore(directory);
      await store.compact();
      await store.append({ e: bytes("<e2>") });
      await store.close();
    }
    const added = how === "condensed" ? ["<e2>"] : [];
    const manifest = readFileSync(join(directory, MANIFEST));
    for (let at = 0; at < manifest.length; at += STEP > 1 ? 5 : 1) {
      if (at === manifest.indexOf("1")) continue; // Its version: a newer one is not read.
      for (const damage of [flip(at), (path: string) => truncateSync(path, at)]) {
        const copy = copyOf(directory);
        damage(join(copy, MANIFEST));
        expect((await salvage(copy, added)).lost).toEqual([]);
        rmSync(copy, { recursive: true });
      }
    }
  },
);

test("a segment is missing: a salvage loses what it held, and tells it", async () => {
  for (const path of filesOf(whole, ".seg")) {
    const { lost, leftOut } = await salvaged(path, true, (each) => rmSync(each));
    expect(lost).toEqual(expect.arrayContaining([...partsOf(path).keys()]));
    expect(leftOut).toMatchObject([{ keys: undefined, offset: 0, reason: "the file is missing" }]);
  }
});

const MANIFEST = join(".partd-log", "manifest");

function keysOf(parts: readonly string[]): string[] {
  return KEYS.filter((_, i) => parts.some((part) => PARTS[i]?.includes(part)));
}

function namesIn(damage: readonly Damage[]): Key[] {
  return damage.flatMap(({ keys }) => keys ?? []);
}
