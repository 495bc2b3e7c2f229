import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "@jest/globals";
import { uniqueToken } from "@partd/disk";
import { LogStore } from "@partd/log";
import { bytes, directories, filesOf, text } from "./directories.js";

const { next } = directories();

test("what a stalled store writes after it was passed over counts for no one", async () => {
  const directory = next();
  const stalled = new LogStore(directory);
  await stalled.append({ x: bytes("1") });
  const [segment = ""] = filesOf(directory, ".seg");
  const early = readFileSync(segment);
  await stalled.append({ x: bytes("late") });
  const late = readFileSync(segment).subarray(early.length);
  await stalled.close();

  // As it stood before the second append, its writer alive but in another process namespace.
  const copy = next();
  const own = join(copy, ".partd-log");
  mkdirSync(join(own, "lock"), { recursive: true });
  const name = segment.slice(segment.lastIndexOf("/") + 1);
  writeFileSync(join(copy, name), early);
  const [pid = "", start, , boot] = uniqueToken().split("-");
  const token = [pid, start, "1", boot, "0123456789ab"].join("-");
  const manifest = readFileSync(join(directory, ".partd-log", "manifest"), "latin1");
  const line = manifest.split("\n").find((text) => text.includes(" segment ")) as string;
  writeFileSync(join(own, "manifest"), `partd-log 1\n\n${withCrc(line, token)}\n`);
  writeFileSync(join(own, "lock", `shared-${token}`), "");

  await using store = new LogStore(copy, { staleMs: 2000 });
  expect(text(await store.get("x"))).toBe("1");
  await store.append({ x: bytes("2") });
  await store.delete("gone");
  await store.withLock((alone) => alone.append({ x: bytes("3") }));
  appendFileSync(join(copy, name), late);
  for (const reader of [store, new LogStore(copy)]) {
    expect(text(await reader.get("x"))).toBe("123");
    expect((await reader.verify()).damage).toEqual([]);
    await reader.compact();
    expect(text(await reader.get("x"))).toBe("123");
    if (reader !== store) await reader.close();
  }
});

test("a read under way when the lock is lost is done again, and does not say that a file is gone", async () => {
  const directory = next();
  const keys = ["x", "y", "z"];
  for (const key of keys) {
    await using one = new LogStore(directory);
    await one.append({ [key]: bytes(key) });
  }
  const away = next();
  mkdirSync(away);
  const files = [".seg", ".idx"].flatMap((ending) => filesOf(directory, ending));
  const { signal } = new AbortController();
  let looks = 0;
  let fatal = Number.POSITIVE_INFINITY;
  signal.throwIfAborted = () => {
    looks++;
    if (looks === fatal) {
      const lock = join(directory, ".partd-log", "lock");
      for (const name of readdirSync(lock)) rmSync(join(lock, name));
      for (const path of files) renameSync(path, join(away, basename(path)));
    } else if (looks === fatal + 1) {
      for (const path of files) renameSync(join(away, basename(path)), path);
    }
  };
  const read = async () => {
    await using store = new LogStore(directory);
    return (await store.get(keys, { signal })).map(text);
  };
  expect(await read()).toEqual(keys);
  // It looks at the signal before each of three indexes, once behind them, and before each of three
  // values. Before the second index it is passed over, and the files are gone until it begins anew.
  const whole = looks;
  fatal = whole - 5;
  looks = 0;
  expect(await read()).toEqual(keys);
  expect(looks).toBeGreaterThan(whole);
});

function withCrc(line: string, token: string): string {
  const rest = line.slice(9).split(" ");
  rest[2] = token;
  const text = rest.join(" ");
  let value = -1;
  for (const byte of Buffer.from(text)) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return `${(~value >>> 0).toString(16).padStart(8, "0")} ${text}`;
}
