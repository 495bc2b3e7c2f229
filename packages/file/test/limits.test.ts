import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import {
  directories,
  limitedProgram,
  limitedProgramUnder,
  type Program,
  program,
} from "./program.js";

const { make, clean } = directories();
afterAll(clean);

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
const posix = process.platform === "win32" ? test.skip : test;

posix("5,000 keys under ulimit -n 64", async () => {
  const hoarder = limitedProgram("ulimit -n 64", "hoarder", make());
  await hoarder.end();
  expect(hoarder.lines).toEqual(["5000 12"]);
});

posix("a store that was told it may open more files than there can be", async () => {
  const hoarder = limitedProgram("ulimit -n 64", "hoarder", make(), 10_000);
  await hoarder.end();
  expect(hoarder.lines).toEqual(["5000 12"]);
});

async function checkFull(filler: Program, cause: string) {
  await filler.end();
  const told = JSON.parse(filler.lines[0] as string);
  expect(told).toMatchObject({
    statuses: ["rejected", "fulfilled"],
    code: "ERR_PARTD_IO",
    cause,
    values: ["before beside after", "before", "", ""],
    keys: ["x", "y"],
    set: cause,
    y: "before",
  });
  expect(told.message).toContain("the data is as it was");
}

posix("a limit on the size of files (ulimit -f): an error, and the data as it was", async () => {
  const directory = make();
  await checkFull(limitedProgram("ulimit -f 4096", "filler", directory, 8 * 2 ** 20), "EFBIG");
  expect(readdirSync(directory).sort()).toEqual([".partd", "x", "y"]);
});

const mayMount =
  process.platform === "linux" &&
  spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", make()]).status === 0;
(mayMount ? test : test.skip)("a full file system: an error, and the data as it was", async () => {
  const directory = make();
  const unshare = ["unshare", "--mount"];
  const mount = `mount -t tmpfs -o size=4m tmpfs ${directory}`;
  for (const large of [8 * 2 ** 20, 5 * 2 ** 20]) {
    const filler = limitedProgramUnder(unshare, mount, "filler", join(directory, "d"), large);
    await checkFull(filler, "ENOSPC");
  }
});

posix("a directory in which the process may not write", async () => {
  const directory = make();
  chmodSync(directory, 0o755);
  {
    await using store = new FileStore(directory);
    await store.append({ x: bytes("1") });
  }
  if (process.getuid?.() !== 0)
    for (const path of [join(directory, ".partd", "lock"), directory]) chmodSync(path, 0o555);
  const unprivileged = program("unprivileged", directory);
  await unprivileged.end();
  const { append, get } = JSON.parse(unprivileged.lines[0] as string);
  for (const error of [append, get]) {
    expect(error).toMatchObject({ code: "ERR_PARTD_IO", cause: "EACCES" });
    expect(error.message).toContain(directory);
    expect(error.message).toContain("permissions");
  }
  chmodSync(directory, 0o755);
  chmodSync(join(directory, ".partd", "lock"), 0o755);
  expect(readFileSync(join(directory, "x"), "latin1")).toBe("1");
});

test("a file where the directory should be, or where a folder of its path should", async () => {
  const directory = make();
  writeFileSync(join(directory, "file"), "1");
  for (const path of [join(directory, "file"), join(directory, "file", "below")]) {
    await using store = new FileStore(path);
    for (const call of [() => store.append({ x: bytes("1") }), () => store.get("x")]) {
      await expect(call()).rejects.toMatchObject({ code: "ERR_PARTD_IO", path });
      await expect(call()).rejects.toThrow(path);
    }
    rmSync(join(directory, "file"));
    await store.append({ x: bytes("1") }); // It tries again.
    expect(text(await store.get("x"))).toBe("1");
    rmSync(path, { recursive: true });
    rmSync(join(directory, "file"), { recursive: true, force: true });
    writeFileSync(join(directory, "file"), "1");
  }
});

test("a directory where a key's file should be, and a file where a tuple's folder should", async () => {
  const directory = make();
  mkdirSync(join(directory, "x", "deep"), { recursive: true });
  writeFileSync(join(directory, "x", "deep", "file"), "theirs");
  writeFileSync(join(directory, "y"), "y");
  await using store = new FileStore(directory);
  expect(text(await store.get("x"))).toBe("");
  await store.append([
    ["x", bytes("1")],
    [tuple("y", "1"), bytes("2")],
    [tuple("x", "deep"), bytes("3")],
  ]);
  const keys = ["x", tuple("y", "1"), tuple("x", "deep"), "y", tuple("x", "deep", "file")];
  expect((await store.get(keys)).map(text)).toEqual(["1", "2", "3", "y", "theirs"]);
  await store.delete(["x", tuple("x", "deep")]);
  expect((await store.get(keys)).map(text)).toEqual(["", "2", "", "y", "theirs"]);
});

posix("a key that is too long for the directory, whose own path is long, too", async () => {
  const root = make();
  const directory = join(root, ...Array.from({ length: 20 }, () => "d".repeat(190)));
  const deep = join(directory, "e".repeat(4_020 - directory.length - 1));
  mkdirSync(deep, { recursive: true });
  await using store = new FileStore(deep);
  await store.append({ ok: bytes("1") });
  const long = ["k".repeat(100), "k".repeat(300), tuple(...Array.from({ length: 300 }, () => "p"))];
  for (const key of long) {
    const error = { code: "ERR_PARTD_KEY", key, path: deep };
    await expect(
      store.append([
        ["ok", bytes("2")],
        ["new", bytes("2")],
        [key, bytes("2")],
      ]),
    ).rejects.toMatchObject(error);
    await expect(store.iset(key, bytes("2"))).rejects.toMatchObject(error);
    await expect(store.iset(key, bytes("2"))).rejects.toThrow("use a shorter key");
    // It was never written.
    expect((await store.get(key)).byteLength).toBe(0);
    expect((await store.pop(key)).byteLength).toBe(0);
    await store.delete([key, "gone"]);
    for await (const _ of store.stream(key)) throw new Error("there is nothing");
    expect(text(await store.get("ok"))).toBe("1");
    expect(readdirSync(deep).sort()).toEqual([".partd", "ok"]);
  }
  await store.close();
  await using deeper = new FileStore(join(deep, "f".repeat(100)));
  await expect(deeper.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
});

posix("a named pipe, or a folder that cannot be opened as one, does not hold it up", async () => {
  const directory = make();
  spawnSync("mkfifo", [join(directory, "pipe")]);
  symlinkSync("loop", join(directory, "loop"));
  await using store = new FileStore(directory);
  await expect(store.get("pipe")).rejects.toMatchObject({ code: "ERR_PARTD_IO", key: "pipe" });
  for (const key of ["pipe", "loop"]) {
    await expect(store.append({ ok: bytes("1"), [key]: bytes("1") })).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      key,
    });
  }
  expect(text(await store.get("ok"))).toBe("");
});

test("100,000 appends that wait for the lock are given up at once, and others written", async () => {
  const one = new FileStore(make());
  const other = new FileStore(one.path);
  const controller = new AbortController();
  const append = (count: number, signal?: AbortSignal) =>
    Array.from({ length: count }, () => other.append({ x: bytes("1") }, { signal }));
  let kept: Promise<void>[] = [];
  await one.withLock(async () => {
    const given = append(100_000, controller.signal);
    kept = append(10_000);
    setImmediate(() => controller.abort());
    const outcomes = await Promise.allSettled(given);
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(["rejected"]));
  });
  await Promise.all(kept);
  expect((await one.get("x")).byteLength).toBe(10_000);
  await one.close();
  await other.close();
});
