import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { encodeKey, isPartdError, tuple } from "@partd/core";
import { crc32 } from "@partd/disk";
import { FileStore } from "@partd/file";
import { directories } from "./program.js";

const { make, clean } = directories();
const bytes = (text: string) => new TextEncoder().encode(text);
afterAll(clean);

/** A journal that tells of a change, as the store's own would. */
function journalOf(kind: number, body: string): Buffer {
  const record = Buffer.alloc(32 + body.length);
  record.write(body, 32, "latin1");
  record.write("ptdj", 0, "latin1");
  record.writeUInt32LE(kind, 4);
  record.writeDoubleLE(5, 8);
  record.writeUInt32LE(body.length, 20);
  record.writeUInt32LE(crc32(record.subarray(32)), 24);
  record.writeUInt32LE(crc32(record.subarray(0, 28)), 28);
  return Buffer.concat([Buffer.alloc(16), record]);
}

test.each([
  [1, "0 0 ../victim\n"],
  [1, "0 3 ../victim\n"],
  [1, "1 0 ../victim\n"],
  [2, "0 0 ../victim\n"],
  [2, "0 0 x\n0 0 a/../../victim\n"],
  [1, "0 0 .partd/journal\n"],
  [1, "0 0 /etc/victim\n"],
  [1, "0 0 ../downloaded/x\n"],
  [1, "0 0 x/\n"],
  [1, "0 0 %2e%2e/victim\n"],
  [1, "0 -3 x\n"],
  [1, "0 1e3 x\n"],
  [1, "0 99999999999999999999 x\n"],
  [1, "2 0 x\n"],
  [1, "0 0 x\0y\n"],
  [1, "nonsense\n"],
  [4, "0 0 x\n"],
])(
  "a journal from elsewhere of kind %d that tells of %j is refused, and nothing done",
  async (kind, body) => {
    const home = make();
    const directory = join(home, "downloaded");
    mkdirSync(join(directory, ".partd"), { recursive: true });
    writeFileSync(join(directory, "x"), "data");
    writeFileSync(join(home, "victim"), "precious");
    writeFileSync(join(directory, ".partd", "journal"), journalOf(kind, body));
    const store = new FileStore(directory);
    const path = join(directory, ".partd", "journal");
    for (const attempt of [
      () => store.get("x"),
      () => store.append({ x: Buffer.from("1") }),
      () => store.drop(),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path });
    }
    await store.close();
    expect(readFileSync(join(home, "victim"), "utf8")).toBe("precious");
    expect(readFileSync(join(directory, "x"), "utf8")).toBe("data");
  },
);

test("a journal longer than any store's is not read into memory", async () => {
  const directory = make();
  mkdirSync(join(directory, ".partd"));
  const path = join(directory, ".partd", "journal");
  writeFileSync(path, journalOf(1, "0 0 x\n"));
  truncateSync(path, 2 ** 40);
  await using store = new FileStore(directory);
  await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path });
});

test("each byte of the store's own files cut off or changed: no wrong answer", async () => {
  const start = make();
  const long = "k".repeat(300);
  {
    await using store = new FileStore(start);
    await store.append({ x: Buffer.from("1"), y: Buffer.from("2"), [long]: Buffer.from("3") });
    await store.delete("y");
    await store.append({ x: Buffer.from("4") });
  }
  writeFileSync(join(start, ".partd", "lock", "left"), "something");
  const right = { x: "14", [encodeKey(long)]: "3" };
  const files = readdirSync(join(start, ".partd"), { recursive: true, encoding: "utf8" })
    .map((name) => join(".partd", name))
    .filter((name) => statSync(join(start, name)).isFile());
  expect(files).toHaveLength(4);
  const directory = join(make(), "copy");
  for (const name of files.filter((name) => !/aside.[0-9a-f]{64}$/.test(name))) {
    const whole = readFileSync(join(start, name));
    const damaged = [
      ...Array.from(whole, (_, at) => whole.subarray(0, at)),
      ...Array.from(whole, (byte, at) => {
        const changed = Buffer.from(whole);
        changed[at] = byte ^ (1 << (at % 8));
        return changed;
      }),
    ];
    cpSync(start, directory, { recursive: true });
    for (const [i, bytes] of damaged.entries()) {
      for (const own of files) copyFileSync(join(start, own), join(directory, own));
      writeFileSync(join(directory, name), bytes);
      await using store = new FileStore(directory, { lockTimeoutMs: 1_000 });
      const found: { [key: string]: string } = {};
      try {
        for await (const key of store.keys())
          found[encodeKey(key)] = Buffer.from(await store.get(key)).toString();
      } catch (error) {
        if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
        continue;
      }
      expect([name, i, found]).toEqual([name, i, right]);
    }
  }
});

test("keys that lie aside without their names are not left out in silence", async () => {
  const directory = make();
  const long = "k".repeat(300);
  await using store = new FileStore(directory);
  await store.append({ x: Buffer.from("1"), [long]: Buffer.from("2") });
  const aside = join(directory, ".partd", "aside");
  const [name = ""] = readdirSync(aside).filter((one) => one.endsWith(".key"));
  writeFileSync(join(aside, name), "another");
  const keys = async () => {
    for await (const _ of store.keys());
  };
  await expect(keys()).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    path: join(aside, name),
  });
  expect(Buffer.from(await store.get(long)).toString()).toBe("2");
});

test.each(["x", "folder", ".partd", ".partd/journal", ".partd/lock"])(
  "a symbolic link in the place of %s leads to no file outside",
  async (name) => {
    const home = make();
    const directory = join(home, "downloaded");
    const key = tuple("folder", "y");
    await using store = new FileStore(directory);
    await store.append([
      ["x", Buffer.from("data")],
      [key, Buffer.from("data")],
    ]);
    await store.close();
    // It is moved away, and the link that is put in its place leads there.
    const victim = join(home, "victim");
    renameSync(join(directory, name), victim);
    symlinkSync(victim, join(directory, name));
    // A note by which the file would be cut.
    const journal = join(directory, ".partd", "journal");
    if (!name.startsWith(".")) writeFileSync(journal, journalOf(1, "0 1 x\n0 1 folder/y\n"));
    const before = treeOf(victim);
    const other = new FileStore(directory);
    for (const attempt of [
      () => other.get(["x", key]),
      () =>
        other.append([
          ["x", Buffer.from("1")],
          [key, Buffer.from("1")],
        ]),
      () => other.iset(name === "x" ? "x" : key, Buffer.from("1")),
      () => other.delete(["x", key]),
    ]) {
      await expect(attempt()).rejects.toMatchObject({
        code: "ERR_PARTD_IO",
        message: expect.stringContaining("symbolic link"),
      });
    }
    await other.close();
    expect(treeOf(victim)).toEqual(before);
  },
);

test.each([
  ["nowhere", "a symbolic link that leads to nothing"],
  ["link", "symbolic links of the path lead in a circle"],
])(
  "a path that is a symbolic link to %s: an error that says so, until it is gone",
  async (to, told) => {
    const link = join(make(), "link");
    symlinkSync(to, link);
    await using store = new FileStore(link);
    for (const attempt of [() => store.append({ x: bytes("1") }), () => store.get("x")]) {
      await expect(attempt()).rejects.toMatchObject({
        code: "ERR_PARTD_IO",
        path: link,
        message: expect.stringContaining(told),
      });
    }
    rmSync(link);
    await store.append({ x: bytes("1") });
    expect(Buffer.from(await store.get("x")).toString()).toBe("1");
  },
);

/** What is there, with each file's bytes. */
function treeOf(path: string): readonly string[] {
  if (statSync(path).isFile()) return [readFileSync(path, "latin1")];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const each = join(path, name);
      return statSync(each).isFile() ? `${name} ${readFileSync(each, "latin1")}` : name;
    });
}

test.each(["3", "5"])("a device (1, %s) in the place of a key is no empty value", async (minor) => {
  const directory = make();
  await using store = new FileStore(directory);
  await store.append({ y: Buffer.from("data") });
  const { status } = spawnSync("mknod", [join(directory, "x"), "c", "1", minor]);
  if (status !== 0) return; // Only root may make one.
  const drain = async () => {
    for await (const _ of store.stream("x"));
  };
  for (const attempt of [
    () => store.get("x"),
    () => store.get(["y", "x"]),
    drain,
    () => store.append({ x: Buffer.from("1") }),
  ]) {
    await expect(attempt()).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: expect.stringContaining("neither a file nor a folder"),
    });
  }
  expect(Buffer.from(await store.get("y")).toString()).toBe("data");
});

test.each([
  ["the lock's file", ".partd/lock/1-1-1-0a0a0a0a-abcdefabcdef", "ERR_PARTD_LOCK"],
  ["a name aside", `.partd/aside/${"a".repeat(64)}.key`, "ERR_PARTD_CORRUPT"],
  ["the journal", ".partd/journal", "ERR_PARTD_IO"],
])("a named pipe in the place of %s is not waited for", async (_, name, code) => {
  const directory = make();
  await using store = new FileStore(directory);
  await store.append({ x: Buffer.from("data") });
  await store.close();
  const path = join(directory, name);
  mkdirSync(join(path, ".."), { recursive: true });
  rmSync(path, { force: true });
  execFileSync("mkfifo", [path]);
  if (name.endsWith(".key")) writeFileSync(path.slice(0, -4), "bytes");
  // In a process of its own: the system would never let this one go on.
  const program = `
    import { FileStore } from "@partd/file";
    const store = new FileStore(process.argv[1], { lockTimeoutMs: 200 });
    try { for await (const key of store.keys()) console.log(key); } catch (error) { console.log(error.code); }
    process.exit();`;
  const { stdout } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", program, directory],
    { encoding: "utf8", timeout: 200_000, killSignal: "SIGKILL" },
  );
  expect(stdout.trim()).toBe(code);
});

test("with create: false a directory has to be a data set", async () => {
  const home = make();
  const missing = join(home, "mistyped");
  const store = new FileStore(missing, { create: false });
  await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_IO", path: missing });
  expect(existsSync(missing)).toBe(false);
  mkdirSync(missing);
  writeFileSync(join(missing, ".lock"), "");
  await expect(store.append({ x: Buffer.from("1") })).rejects.toThrow("not a data set");
  expect(readdirSync(missing)).toEqual([".lock"]);
  writeFileSync(join(missing, "x"), "from Python");
  expect((await store.get("x")).length).toBe(11);
  await store.close();
  await using again = new FileStore(missing, { create: false });
  await again.append({ x: Buffer.from("1") });
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
    expect(() => new FileStore(...given)).toThrow(expect.objectContaining(refused));
  }
  await using store = new FileStore();
  expect(store.path).toContain("partd-file-");
});

test("a temporary store lies in the dir that was asked for, and goes", async () => {
  const dir = join(make(), "scratch");
  const store = new FileStore(undefined, { dir });
  await store.append({ x: Buffer.from("1") });
  expect(readdirSync(dir)).toHaveLength(1);
  expect(store.path.startsWith(dir)).toBe(true);
  await store.close();
  expect(readdirSync(dir)).toEqual([]);
});

test("drop() deletes no files that were in the directory before the first store", async () => {
  const directory = make();
  mkdirSync(join(directory, "photos"));
  writeFileSync(join(directory, "photos", "cat.jpg"), "a cat");
  writeFileSync(join(directory, "letter.txt"), "Dear");
  for (let round = 0; round < 2; round++) {
    await using store = new FileStore(directory);
    await store.append({ x: bytes("1") });
    await expect(store.drop()).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: expect.stringContaining("drop() would delete those, too") as unknown,
    });
    expect(readFileSync(join(directory, "photos", "cat.jpg"), "utf8")).toBe("a cat");
    expect(readFileSync(join(directory, "letter.txt"), "utf8")).toBe("Dear");
    expect((await store.get("x")).byteLength).toBe(round + 1);
  }
  rmSync(join(directory, ".partd", "adopted"));
  await using store = new FileStore(directory);
  await store.drop();
  expect(readdirSync(directory)).toEqual([".partd"]);
});

test.each([
  ["keys that Python wrote", { ".lock": "", x: "1" }],
  ["nothing that passes for a key", { "notes~": "mine" }],
])("drop() is not refused where there were %s", async (_, files) => {
  const directory = make();
  for (const [name, value] of Object.entries(files)) writeFileSync(join(directory, name), value);
  await using store = new FileStore(directory);
  await store.append({ y: bytes("2") });
  await store.drop();
  expect(await store.count()).toBe(0);
});

test("an append changes no file that has another name elsewhere", async () => {
  const directory = make();
  const outside = join(make(), "outside");
  writeFileSync(outside, "theirs");
  await using store = new FileStore(directory);
  await store.append({ y: bytes("1") });
  linkSync(outside, join(directory, "x"));
  const refused = {
    code: "ERR_PARTD_IO",
    key: "x",
    cause: expect.objectContaining({ code: "EMLINK" }) as unknown,
  };
  const append = () => store.append({ x: bytes("!"), y: bytes("!") });
  await expect(append()).rejects.toMatchObject(refused);
  expect(Buffer.from(await store.get("x")).toString()).toBe("theirs"); // The file is open now.
  await expect(append()).rejects.toMatchObject(refused);
  expect(readFileSync(outside, "utf8")).toBe("theirs");
  expect(Buffer.from(await store.get("y")).toString()).toBe("1");
  await store.iset("x", bytes("ours"));
  await append();
  expect(Buffer.from(await store.get("x")).toString()).toBe("ours!");
  expect(readFileSync(outside, "utf8")).toBe("theirs");
});

test("a named pipe in the place of the store's own folder is refused, and not waited for", async () => {
  const directory = make();
  execFileSync("mkfifo", [join(directory, ".partd")]);
  const program = `
    import { FileStore } from "@partd/file";
    const { code } = await new FileStore(process.argv[1]).get("x").catch((error) => error);
    console.log(code);
  `;
  const options = { encoding: "utf8", timeout: 200_000 } as const;
  const { stdout } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", program, directory],
    options,
  );
  expect(stdout).toBe("ERR_PARTD_IO\n");
});

test("a directory of a LogStore is left alone, with all its segments", async () => {
  const directory = make();
  mkdirSync(join(directory, ".partd-log"));
  writeFileSync(join(directory, "0123456789abcdef.seg"), "a segment");
  await using store = new FileStore(directory);
  for (const call of [
    () => store.get("x"),
    () => store.append({ x: bytes("1") }),
    () => store.drop(),
  ]) {
    await expect(call()).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: expect.stringContaining("a data set of a LogStore"),
    });
  }
  expect(readdirSync(directory).sort()).toEqual([".partd-log", "0123456789abcdef.seg"]);
});
