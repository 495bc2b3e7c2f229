import { execFileSync } from "node:child_process";
import { cpSync, fstatSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "@jest/globals";
import { endFaults, faults } from "./faults.js";
import { directories, program } from "./program.js";

const { uniqueToken } = await import("@partd/disk");
const { FileStore } = await import("@partd/file");

const { make, clean } = directories();
afterEach(() => {
  faults.rule = undefined;
});
afterAll(() => {
  endFaults();
  clean();
});

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
/** Nobody waits for as long as that. */
const STALE = { staleMs: 600_000 };

/** Fails the calls of that name on paths that hold `part`, the `first` of them and up to `last`. */
function fail(call: string, part: string, code: string, first = 1, last = first): void {
  let count = 0;
  faults.rule = (name, [path]) => {
    if (name !== call || !String(path).includes(part)) return undefined;
    count++;
    return count >= first && count <= last ? code : undefined;
  };
}

test("a lock that cannot be removed is removed as soon as it can be", async () => {
  const directory = make();
  const store = new FileStore(directory, STALE);
  await store.append({ x: bytes("1") });
  fail("unlink", join(".partd", "lock"), "EIO", 1, 3);
  await store.close();
  const holder = program("holder", directory);
  await holder.line("held");
  await holder.kill();
});

test("one's own lock that could not be removed stands in nobody's way in this process", async () => {
  const directory = make();
  const store = new FileStore(directory, STALE);
  await store.append({ x: bytes("1") });
  fail("unlink", join(".partd", "lock"), "EIO", 1, Number.POSITIVE_INFINITY);
  await store.close();
  const next = new FileStore(directory, STALE);
  await expect(next.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_IO", path: directory });
  faults.rule = undefined;
  expect(text(await next.get("x"))).toBe("1");
  await next.close();
  expect(readdirSync(join(directory, ".partd", "lock"))).toEqual([]);
});

test("an attempt at the lock that fails half-way leaves nothing that is waited for", async () => {
  const directory = make();
  await using store = new FileStore(directory, STALE);
  await store.append({ x: bytes("1") });
  await using other = new FileStore(directory, STALE);
  await store.close();
  // The first look finds no one, the second, after the token was put there, no descriptor.
  fail("readdir", join(".partd", "lock"), "EMFILE", 2);
  expect(text(await other.get("x"))).toBe("1");
});

test("the lock goes on to others also if the mark of a waiter cannot be removed", async () => {
  const directory = make();
  await using store = new FileStore(directory, STALE);
  await using other = new FileStore(directory, STALE);
  fail("unlink", "wants-", "EIO", 1, Number.POSITIVE_INFINITY);
  const lock = join(directory, ".partd", "lock");
  let waiting: Promise<void> | undefined;
  await store.withLock(async () => {
    waiting = other.append({ x: bytes("1") });
    while (!readdirSync(lock).some((name) => name.startsWith("wants-"))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  await waiting;
  await store.append({ x: bytes("2") });
  expect(text(await other.get("x"))).toBe("12");
});

test("appends that wait while the lock is being given up are not rejected as if it had been lost", async () => {
  const directory = make();
  await using store = new FileStore(directory, STALE);
  await store.append({ x: bytes("0") });
  const lock = join(directory, ".partd", "lock");
  const wanted = join(lock, `wants-${uniqueToken()}`);
  let isWanted = false;
  let later: Promise<void> | undefined;
  let goOn = () => {};
  const written = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let begun = () => {};
  const writing = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let looked = () => {};
  const isLooked = new Promise<void>((resolve) => {
    looked = resolve;
  });
  faults.rule = (name, [path, , , length]) => {
    if (name === "write" && (length as number) > 2 ** 19) {
      begun();
      return written;
    }
    if (name === "readdir" && path === lock && isWanted) setImmediate(() => looked());
    // Here it is being given up, and not yet gone.
    if (name === "unlink" && String(path).startsWith(lock) && another) {
      later ??= store.append({ x: bytes("3") });
    }
    return undefined;
  };
  let another: Promise<void> | undefined;
  const large = store.append({ large: new Uint8Array(2 ** 20 + 1) }); // In the thread pool.
  await writing;
  writeFileSync(wanted, "");
  isWanted = true; // A look before this does not count: on a busy machine there may be one.
  await isLooked; // It is given up as soon as the large one is done.
  const waiting = store.append({ x: bytes("1") });
  another = store.append({ x: bytes("2") });
  await new Promise(setImmediate);
  goOn();
  expect(await Promise.allSettled([large, waiting, another])).toEqual(
    Array.from({ length: 3 }, () => ({ status: "fulfilled", value: undefined })),
  );
  expect(later).toBeDefined();
  await later;
  rmSync(wanted);
  expect(text(await store.get("x"))).toBe("0123");
});

test("a deletion that could not be noted does not undo the append that was noted before", async () => {
  const directory = make();
  await using store = new FileStore(directory, STALE);
  await store.append({ x: bytes("1"), y: bytes("1") });
  await store.append({ y: bytes("2") });
  // Neither the note can be written, nor can it be crossed out.
  faults.rule = (name, [, , , length]) => (name === "write" && length !== 8 ? "ENOSPC" : undefined);
  await expect(store.delete(["x", "z"])).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
  faults.rule = undefined;
  expect((await store.get(["x", "y"])).map(text)).toEqual(["1", "12"]);
  const other = killed(directory);
  await using after = new FileStore(other, STALE);
  expect((await after.get(["x", "y"])).map(text)).toEqual(["1", "12"]);
});

test.each(["ENOSPC", "EIO"])(
  "a removal of several keys that %s stops half-way says how many are removed",
  async (code) => {
    const directory = make();
    await using store = new FileStore(directory, STALE);
    await store.append({ x: bytes("1"), y: bytes("1"), z: bytes("1") });
    for (const remove of [() => store.delete(["x", "y", "z"]), () => store.drop()]) {
      fail("rename", directory, code, 3);
      const told = await remove().catch((error: Error) => error.message);
      expect(told).toMatch(/ 2 of 3 keys are removed\.( Free some and try again\.)?$/);
      expect(told).toContain(directory);
      expect(told).not.toContain("as it was");
      faults.rule = undefined;
      const values = (await store.get(["x", "y", "z"])).map(text);
      expect(values.sort()).toEqual(["", "", "1"]);
      await store.append({ x: bytes("1"), y: bytes("1"), z: bytes("1") });
    }
  },
);

test.each([[[]], [["fsync"]]])(
  "each call of the file system fails in turn (%s): done, or refused and as it was, and nothing is left",
  (words) => {
    const program = join(import.meta.dirname, "programs", "disk-faults.mjs");
    const thorough = process.env.PARTD_FAULTS === "all" ? ["thorough"] : [];
    const told = execFileSync(process.execPath, [program, make(), ...words, ...thorough]);
    expect(String(told)).toMatch(/^\d{3,} faults\n$/);
  },
);

/** A copy of the data, as if the process that has it open had been killed. */
function killed(directory: string): string {
  const { rule } = faults;
  faults.rule = undefined;
  const copy = join(make(), "data");
  cpSync(directory, copy, { recursive: true });
  rmSync(join(copy, ".partd", "lock"), { recursive: true, force: true });
  faults.rule = rule;
  return copy;
}

const KEYS = ["x", "y", "new", "z".repeat(300)];
type Open = InstanceType<typeof FileStore>;
const valuesOf = async (store: Open) => (await store.get(KEYS)).map(text).join();
const CHANGES = new Set([
  "open",
  "write",
  "rename",
  "ftruncate",
  "fdatasync",
  "fsync",
  "link",
  "mkdir",
  "unlink",
]);

describe.each([
  [
    "append",
    (store: Open) => store.append(KEYS.map((key) => [key, bytes("+")] as const)),
    "x+,y+,+,z+",
  ],
  ["iset", (store: Open) => store.iset("x", bytes("set")), "set,y,,z"],
  ["delete", (store: Open) => store.delete(KEYS), ",,,"],
  ["drop", (store: Open) => store.drop(), ",,,"],
] as const)("%s, of which a call fails", (operation, run, after) => {
  const before = "x,y,,z";
  const isWhole = operation === "append" || operation === "iset";

  test.each([
    ["once", false, false],
    ["once, with fsync", false, true],
    ["and all that follow", true, false],
    ["and all that follow, with fsync", true, true],
  ])(
    "%s: is done whole or not at all, also if the process is killed then",
    async (_, all, fsync) => {
      const start = make();
      {
        await using store = new FileStore(start, { fsync });
        await store.append({ x: bytes("x"), y: bytes("y"), [KEYS[3] as string]: bytes("z") });
      }
      let failed = true;
      for (let at = 1; failed; at++) {
        const directory = killed(start);
        const store = new FileStore(directory, { ...STALE, fsync });
        if (at % 2) await store.get(KEYS); // The lock is held, and files are open.
        let count = 0;
        failed = false;
        const left: string[] = [];
        faults.rule = (name) => {
          if (!CHANGES.has(name)) return undefined;
          if (failed && !all) left.push(killed(directory));
          if (++count < at || (count > at && !all)) return undefined;
          failed = true;
          return "EIO";
        };
        const [{ status }] = await Promise.allSettled([run(store)]);
        left.push(killed(directory));
        faults.rule = undefined;
        const where = `call ${at}`;
        if (isWhole) {
          for (const copy of left) {
            await using other = new FileStore(copy, STALE);
            expect([before, after]).toContain(await valuesOf(other));
          }
        }
        const found = await valuesOf(store);
        if (status === "fulfilled") expect([where, found]).toEqual([where, after]);
        else if (operation === "append") expect([where, found]).toEqual([where, before]);
        else if (isWhole) expect([before, after]).toContain(found);
        await store.append({ x: bytes("!"), new: bytes("!") });
        const [x = "", y, added = "", z] = found.split(",");
        expect([where, await valuesOf(store)]).toEqual([
          where,
          [`${x}!`, y, `${added}!`, z].join(),
        ]);
        await store.close();
      }
    },
  );
});

test("with fsync, also the name of a key that lies aside is on the disk", async () => {
  const directory = make();
  await using store = new FileStore(directory, { fsync: true });
  await store.append({ x: bytes("1") });
  const synced = new Set<number>();
  faults.rule = (name, [fd]) => {
    if (name === "fdatasync") synced.add(fstatSync(fd as number).ino);
    return undefined;
  };
  await store.append({ ["k".repeat(300)]: bytes("1") });
  faults.rule = undefined;
  const aside = join(directory, ".partd", "aside");
  const names = readdirSync(aside);
  expect(names).toHaveLength(2);
  for (const name of names) expect([...synced]).toContain(statSync(join(aside, name)).ino);
});

test("an append whose long note cannot be cut off is done", async () => {
  await using store = new FileStore(make());
  const keys = Array.from({ length: 5_000 }, (_, i) => `${"k".repeat(230)}${i}`);
  await store.append({ x: bytes("1") });
  fail("ftruncate", "", "EIO", 1, Number.POSITIVE_INFINITY);
  await store.append(keys.map((key) => [key, bytes("1")] as const));
  faults.rule = undefined;
  expect((await store.get(keys)).every((value) => text(value) === "1")).toBe(true);
});

test("while the disk is slow, an append looks once at each file, and waits for it", async () => {
  const directory = make();
  await using store = new FileStore(directory, STALE);
  await store.append({ x: bytes("1"), y: bytes("1") });
  /** Descriptors that the thread pool has looked at. */
  const looked: unknown[] = [];
  faults.rule = (name, args) => {
    if (name === "fstat" && typeof args.at(-1) === "function") looked.push(args[0]);
    // Several calls of more than 3 ms, and the store makes the next ones in the pool.
    for (const end = performance.now() + 5; performance.now() < end; );
    return undefined;
  };
  let appends = 0;
  while (looked.length === 0 && appends++ < 100) {
    await store.append({ x: bytes("2"), y: bytes("2") });
  }
  faults.rule = undefined;
  expect(looked.length).toBeGreaterThan(0);
  expect(new Set(looked).size).toBe(looked.length);
});
