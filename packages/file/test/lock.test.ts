import { mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { directories, program } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
/** `PARTD_STALL_MS=15000` stalls for as long as a suspended machine might. */
const STALL = Number(process.env.PARTD_STALL_MS ?? 2_500);

test("the lock of a killed process is taken over at once, long before it is stale", async () => {
  const directory = make();
  await using store = new FileStore(directory, { staleMs: 600_000 });
  for (let round = 0; round < 3; round++) {
    const holder = program("holder", directory);
    await holder.line("held");
    const append = store.append({ holder: bytes("]") });
    await holder.kill();
    await append;
  }
  expect(text(await store.get("holder"))).toBe("[][][]");
});

test("of several who wait for a dead holder, one at a time gets the lock", async () => {
  const directory = make();
  const COUNTERS = 5;
  const holder = program("holder", directory);
  await holder.line("held");
  const counters = Array.from({ length: COUNTERS }, () => program("counter", directory, 40));
  await Promise.all(counters.map((counter) => counter.line("ready")));
  const victim = program("counter", directory, 1e9);
  await victim.line("ready");
  await holder.kill();
  await victim.kill();
  await Promise.all(counters.map((counter) => counter.line("end")));
  await using store = new FileStore(directory);
  const count = Number(text(await store.get("count")));
  // The victim's own counts are in it; it cannot have taken any away.
  expect(count).toBeGreaterThanOrEqual(COUNTERS * 40);
  const before = count;
  const more = Array.from({ length: 2 }, () => program("counter", directory, 50));
  await Promise.all(more.map((counter) => counter.end()));
  expect(Number(text(await store.get("count")))).toBe(before + 100);
});

test("an abandoned lock of which nothing is known is taken over when it is stale", async () => {
  const directory = make();
  const lock = join(directory, ".partd", "lock");
  mkdirSync(lock, { recursive: true });
  const token = join(lock, "1-1-1-01234567-0123456789ab");
  writeFileSync(token, "");
  const since = new Date(Date.now() - 500);
  utimesSync(token, since, since);
  await using store = new FileStore(directory, { staleMs: 2_000 });
  await store.append({ x: bytes("1") });
  expect(Date.now() - since.getTime()).toBeGreaterThanOrEqual(2_000);
  expect(text(await store.get("x"))).toBe("1");
});

test("a holder whose event loop stands still loses the lock, and knows it", async () => {
  const directory = make();
  const flags = make();
  const stalled = program("stalled", directory, 2_000, join(flags, "go"));
  await using store = new FileStore(directory, { staleMs: 2_000 });
  for (const [round, beginning] of ["held", "appending"].entries()) {
    await stalled.line(beginning);
    await store.append({ x: bytes(`other${round} `) });
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, STALL - 2_500)));
    writeFileSync(join(flags, `go${round}`), "");
  }
  expect(await stalled.line("section")).toBe("section ERR_PARTD_LOCK ERR_PARTD_LOCK");
  expect(await stalled.line("appends")).toBe("appends ERR_PARTD_LOCK ERR_PARTD_LOCK");
  await stalled.end();
  expect((await store.get(["x", "y", "z"])).map(text)).toEqual([
    "before section other0 other1 after",
    "before after",
    "",
  ]);
});

test("a lock that is removed underneath rejects what is in flight, and later appends work", async () => {
  const directory = make();
  await using store = new FileStore(directory);
  await store.append({ x: bytes("1") });
  const lock = join(directory, ".partd", "lock");

  const section = store.withLock(async (held) => {
    await held.append({ x: bytes("2") });
    rmSync(lock, { recursive: true });
    await held.append({ x: bytes("3") });
  });
  await expect(section).rejects.toMatchObject({ code: "ERR_PARTD_LOCK", path: directory });

  const append = store.append({ x: bytes("4") });
  rmSync(lock, { recursive: true, force: true });
  const [result] = await Promise.allSettled([append]);
  if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "ERR_PARTD_LOCK" });

  await store.append({ x: bytes("5") });
  const value = text(await store.get("x"));
  expect(value).toBe(result.status === "fulfilled" ? "1245" : "125");
});

test("a read that was under way when the lock was removed is done again", async () => {
  const directory = make();
  await using store = new FileStore(directory);
  const value = new Uint8Array(2 ** 18).fill(7);
  await store.append({ x: value });
  const { signal } = new AbortController();
  let looks = 0;
  let fatal = Number.POSITIVE_INFINITY;
  signal.throwIfAborted = () => {
    if (++looks === fatal) rmSync(join(directory, ".partd", "lock"), { recursive: true });
  };
  await store.get("x", { signal });
  // It looks a last time while it reads.
  const whole = looks;
  fatal = whole;
  looks = 0;
  expect(await store.get("x", { signal })).toEqual(value);
  expect(looks).toBeGreaterThan(whole);
});

test("an append that was under way when the lock was removed is undone", async () => {
  const directory = make();
  await using store = new FileStore(directory);
  await store.append({ x: bytes("1") });
  const big = new Uint8Array(48 * 2 ** 20);
  const append = store.append([
    ["x", bytes("2")],
    ["big", big],
    ["x", bytes("3")],
  ]);
  // In the thread pool by now.
  while (statSync(join(directory, "big"), { throwIfNoEntry: false }) === undefined) {
    await new Promise(setImmediate);
  }
  rmSync(join(directory, ".partd", "lock"), { recursive: true });
  await expect(append).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
  await store.append({ x: bytes("4") });
  expect(text(await store.get("x"))).toBe("14");
  expect((await store.get("big")).byteLength).toBe(0);
});

test("a wait for the lock ends with its signal, or with lockTimeoutMs", async () => {
  const directory = make();
  const holder = program("holder", directory);
  await holder.line("held");
  await using patient = new FileStore(directory, { staleMs: 600_000 });
  await using hasty = new FileStore(directory, { staleMs: 600_000, lockTimeoutMs: 50 });
  const controller = new AbortController();
  const { signal } = controller;
  const waiting = [
    patient.append({ x: bytes("1") }, { signal }),
    patient.append({ x: bytes("2") }, { signal }),
    patient.get("x", { signal }),
  ];
  const reason = new Error("given up");
  const settled = Promise.allSettled(waiting);
  await expect(hasty.append({ x: bytes("3") })).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
  await expect(hasty.append({ x: bytes("3") })).rejects.toThrow(String(holder.process.pid));
  controller.abort(reason);
  for (const result of await settled) expect(result).toMatchObject({ status: "rejected", reason });
  await holder.kill();
  await patient.append({ x: bytes("4") });
  expect(text(await patient.get("x"))).toBe("4");
});

test("lockTimeoutMs counts for each call from its own beginning", async () => {
  const holder = new FileStore(make(), { staleMs: 600_000 });
  const hasty = new FileStore(holder.path, { staleMs: 600_000, lockTimeoutMs: 60_000 });
  await hasty.get("x");
  const { now } = performance;
  let skew = 0;
  performance.now = () => now.call(performance) + skew;
  try {
    let later: Promise<unknown>[] = [];
    await holder.withLock(async () => {
      const early = [hasty.append({ x: bytes("1") }), hasty.get("x")];
      const timedOut = Promise.allSettled(early);
      await new Promise(setImmediate); // They wait for the lock.
      skew += 40_000;
      later = [hasty.append({ x: bytes("2") }), hasty.get("y")];
      skew += 30_000;
      for (const result of await timedOut) {
        expect(result).toMatchObject({ status: "rejected", reason: { code: "ERR_PARTD_LOCK" } });
      }
    });
    await Promise.all(later);
    expect(text(await hasty.get("x"))).toBe("2");
  } finally {
    performance.now = now;
    await hasty.close();
    await holder.close();
  }
});

test("the lock is given up soon after its last use, and at the end of the process", async () => {
  const directory = make();
  const store = new FileStore(directory);
  await store.append({ x: bytes("1") });
  const lock = join(directory, ".partd", "lock");
  expect(readdirSync(lock)).toHaveLength(1);
  while (readdirSync(lock).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await store.append({ x: bytes("2") });
  await store.close();
  expect(readdirSync(lock)).toHaveLength(0);

  const ending = program("ends", directory);
  await ending.end();
  expect(readdirSync(lock)).toHaveLength(0);
});

test("a store that is closed after a wait was given up does not take the lock later", async () => {
  const directory = make();
  const holder = program("holder", directory);
  await holder.line("held");
  const store = new FileStore(directory, { staleMs: 600_000 });
  const controller = new AbortController();
  const waiting = expect(store.get("x", { signal: controller.signal })).rejects.toThrow("given up");
  await new Promise((resolve) => setTimeout(resolve, 20));
  controller.abort(new Error("given up"));
  await waiting;
  await store.close();
  await holder.kill();
  expect(readdirSync(join(directory, ".partd", "lock"))).toHaveLength(1); // The dead holder's.
});

test("a wait for the lock that was given up does not keep the process alive", async () => {
  await using store = new FileStore(make());
  await store.withLock(async (held) => {
    await held.append({ x: bytes("1") });
    const impatient = program("impatient", store.path);
    await impatient.end();
    expect(impatient.lines).toEqual(["TimeoutError TimeoutError"]);
  });
  expect(text(await store.get("x"))).toBe("1");
});
