import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "@jest/globals";
import { endFaults, faults } from "./faults.js";
import { directories, program } from "./program.js";

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

test("the lock is given up also if the note that it is wanted cannot be removed", async () => {
  const directory = make();
  await using store = new FileStore(directory, STALE);
  fail("unlink", join(".partd", "wanted"), "EIO", 1, Number.POSITIVE_INFINITY);
  let holder: ReturnType<typeof program> | undefined;
  await store.withLock(async () => {
    holder = program("holder", directory);
    while (!readdirSync(join(directory, ".partd")).includes("wanted")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  await holder?.line("held");
  await holder?.kill();
});

test("appends that wait while the lock is being given up are not rejected as if it had been lost", async () => {
  const directory = make();
  await using store = new FileStore(directory, STALE);
  await store.append({ x: bytes("0") });
  const wanted = join(directory, ".partd", "wanted");
  let later: Promise<void> | undefined;
  let goOn = () => {};
  const written = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const looked = new Promise<void>((resolve) => {
    faults.rule = (name, [path]) => {
      if (name === "write") return written;
      if (name === "access" && path === wanted) setImmediate(resolve);
      // Here it is being given up, and not yet gone.
      if (name === "unlink" && path === wanted) later ??= store.append({ x: bytes("3") });
      return undefined;
    };
  });
  const large = store.append({ large: new Uint8Array(2 ** 20 + 1) }); // In the thread pool.
  writeFileSync(wanted, "");
  await looked; // It is given up as soon as the large one is done.
  const waiting = store.append({ x: bytes("1") });
  const another = store.append({ x: bytes("2") });
  await new Promise(setImmediate);
  goOn();
  expect(await Promise.allSettled([large, waiting, another])).toEqual(
    Array.from({ length: 3 }, () => ({ status: "fulfilled", value: undefined })),
  );
  expect(later).toBeDefined();
  await later;
  expect(text(await store.get("x"))).toBe("0123");
});
