import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs, {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { DirectoryLock, type Takeover, uniqueToken } from "@partd/disk";
import { LockFolder } from "../src/lock-folder.js";

let folder: string;
const locks: DirectoryLock[] = [];
const kids: ChildProcess[] = [];

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "partd-lock-")), "lock");
});
afterEach(async () => {
  for (const kid of kids.splice(0)) kid.kill("SIGKILL");
  for (const lock of locks.splice(0)) await lock.close();
  rmSync(join(folder, ".."), { recursive: true, force: true });
});

function lockOf(options: Partial<ConstructorParameters<typeof DirectoryLock>[0]> = {}) {
  const lock = new DirectoryLock({ directory: "/data", folder, ...options });
  locks.push(lock);
  return lock;
}

/** The files of those who wait. */
function marks(): string[] {
  return readdirSync(folder).filter((name) => /^wa[a-z]+-/.test(name));
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}

async function program(name: string, ...args: string[]): Promise<ChildProcess> {
  const path = fileURLToPath(new URL(`programs/${name}.mjs`, import.meta.url));
  const kid = spawn(process.execPath, [path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  kids.push(kid);
  await once(kid.stdout as NodeJS.ReadableStream, "data");
  return kid;
}

/** Runs `work` on a steady clock that `skew` moves. */
async function withSkew(work: (skew: (ms: number) => void) => Promise<void>): Promise<void> {
  const { now } = performance;
  let moved = 0;
  performance.now = () => now.call(performance) + moved;
  try {
    await work((ms) => {
      moved += ms;
    });
  } finally {
    performance.now = now;
  }
}

describe("a lock between stores", () => {
  test("is shared by many, or one alone has it", async () => {
    const [a, b, c] = [lockOf(), lockOf(), lockOf({ timeoutMs: 40 })];
    const first = await a.take("shared");
    const second = await b.take("shared");
    await expect(c.take("exclusive")).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
    a.leave(first);
    b.leave(second);
    const alone = await lockOf().take("exclusive");
    expect(alone.exclusive).toBe(true);
    await expect(c.take("shared")).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
  });

  test("goes to those that want it alone although others share it without a pause", async () => {
    const busy = [lockOf(), lockOf()];
    let over = false;
    const work = busy.map(async (lock) => {
      while (!over) await lock.hold("shared", {}, () => new Promise(setImmediate));
    });
    await lockOf().hold("exclusive", {}, async () => {});
    over = true;
    await Promise.all(work);
  });

  test("goes to those who wait in the order in which they came", async () => {
    const [a, b, c] = [lockOf(), lockOf(), lockOf()];
    const order: string[] = [];
    const turn = (name: string, lock: DirectoryLock, mode: "shared" | "exclusive") =>
      lock.hold(mode, {}, async () => void order.push(name));
    const held = await a.take("exclusive");
    const waiting = [turn("b", b, "exclusive")];
    await until(() => marks().length === 1);
    waiting.push(turn("c", c, "shared"));
    await until(() => marks().length === 2);
    a.leave(held);
    await until(() => readdirSync(folder).every((name) => name !== held.token));
    waiting.push(turn("a", a, "exclusive"));
    await Promise.all(waiting);
    expect(order).toEqual(["b", "c", "a"]);
    expect(marks()).toEqual([]);
  });

  test("starves no one who shares it while others take it alone without a pause", async () => {
    const [TIMES, MOST] = [10, 12];
    const turns: string[] = []; // Tokens of leases.
    let over = false;
    const alone = [lockOf(), lockOf(), lockOf()].map(async (lock) => {
      while (!over) {
        await lock.hold("exclusive", {}, async ({ token }) => {
          if (token !== turns.at(-1)) turns.push(token);
          await new Promise(setImmediate);
        });
      }
    });
    await until(() => turns.length > 4);
    const waited: number[] = [];
    while (waited.length < TIMES && Math.max(0, ...waited) <= MOST) {
      const lock = lockOf();
      const since = turns.length;
      const share = lock.hold("shared", {}, async () => {}).then(() => lock.close());
      await Promise.race([share, until(() => over || turns.length - since > MOST)]);
      waited.push(turns.length - since);
    }
    over = true;
    await Promise.all(alone);
    expect(Math.max(...waited)).toBeLessThanOrEqual(MOST);
  });

  test.each(["exclusive", "shared"] as const)(
    "%s: is not left for long to one who waits and stands still",
    async (mode) => {
      mkdirSync(folder, { recursive: true });
      const still = `wants-${uniqueToken()}`;
      writeFileSync(join(folder, still), "");
      await lockOf({ staleMs: 600_000 }).hold(mode, {}, async () => {});
      expect(marks()).toEqual([still]);
    },
  );

  test("is one for several processes that change a number in turn", async () => {
    const file = join(folder, "..", "count");
    writeFileSync(file, "0");
    const counters = await Promise.all([1, 2, 3].map(() => program("counter", folder, file, "30")));
    const output = counters.map(async (kid) => {
      let text = "";
      for await (const chunk of kid.stdout as AsyncIterable<Buffer>) text += chunk;
      return text.trim();
    });
    expect(await Promise.all(output)).toEqual(["odd 0", "odd 0", "odd 0"]);
    expect(readFileSync(file, "utf8")).toBe("90");
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each(["exclusive", "shared"] as const)(
    "%s: a killed process holds nothing up",
    async (mode) => {
      const kid = await program("holder", folder, mode);
      kid.kill("SIGKILL");
      await lockOf({ staleMs: 600_000 }).hold("exclusive", {}, async () => {});
    },
  );

  test.each(["exclusive", "shared"] as const)(
    "%s: a terminated worker holds nothing up",
    async (mode) => {
      const url = new URL("programs/holder.mjs", import.meta.url);
      const worker = new Worker(url, { workerData: { folder, mode } });
      await once(worker, "message");
      expect(readdirSync(folder)).toHaveLength(1);
      await worker.terminate();
      const takeovers: Takeover[] = [];
      const lock = lockOf({ staleMs: 600_000, onTaken: async (one) => void takeovers.push(one) });
      await lock.hold("exclusive", {}, async () => {});
      expect(takeovers.map(({ unproven }) => unproven.length)).toEqual([1]);
    },
  );

  test("a wait ends with an error that names the holder", async () => {
    const kid = await program("holder", folder, "exclusive");
    const error = await lockOf({ timeoutMs: 30 })
      .take("shared")
      .catch((error: Error) => error);
    expect(error).toMatchObject({ code: "ERR_PARTD_LOCK", path: "/data" });
    const named = `held by process ${kid.pid} on ${hostname()} since ${new Date().getFullYear()}`;
    expect((error as Error).message).toContain(named);
  });

  test("what was begun in a lost lease is not confirmed", async () => {
    const lock = lockOf();
    await withSkew(async (skew) => {
      const lease = await lock.take("exclusive");
      lease.confirm();
      skew(20_000); // The clock proves nothing any more, and a look finds the token.
      expect(lease.isInTime()).toBe(false);
      lease.confirm();
      rmSync(folder, { recursive: true });
      expect(() => lease.confirm()).toThrow("lost to another process");
      lock.leave(lease);
    });
    expect((await lock.take("exclusive")).lost).toBe(false);
  });

  test("a read that lost the lock is done again, three times in all, but not in a section", async () => {
    const lock = lockOf();
    await withSkew(async (skew) => {
      let reads = 0;
      const read = (losses: number) =>
        lock.read("shared", {}, async (lease) => {
          reads++;
          if (reads <= losses) rmSync(folder, { recursive: true });
          skew(20_000);
          lease.verify();
          return reads;
        });
      expect(await read(2)).toBe(3);
      reads = 0;
      await expect(read(9)).rejects.toThrow("lost to another process");
      expect(reads).toBe(3);
      reads = 0;
      await expect(lock.section({}, () => read(1))).rejects.toThrow("lost to another process");
      expect(reads).toBe(1);
    });
  });
});

describe("a holder of which nothing is known", () => {
  const foreign = "4242-1000-4026531836-0badb007-0123456789ab";

  test("is passed over when it has given no sign of life, whatever its clock says", async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, foreign), "");
    const future = Date.now() / 1000 + 3600;
    utimesSync(join(folder, foreign), future, future);
    const takeovers: Takeover[] = [];
    const lock = lockOf({ staleMs: 2_000, onTaken: async (one) => void takeovers.push(one) });
    const since = performance.now();
    await lock.hold("shared", {}, async () => {});
    expect(performance.now() - since).toBeGreaterThanOrEqual(2_000);
    // Sharing came after a lease that had the lock alone, to fence off what it may yet write.
    expect(takeovers.map(({ lease, unproven }) => [lease.exclusive, unproven])).toEqual([
      [true, [foreign]],
    ]);
    await lock.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is fenced off by a later holder if the first one failed to", async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `fence-${foreign}`), "");
    const failing = lockOf({
      onTaken: () => Promise.reject(new Error("no space")),
    });
    await expect(failing.take("exclusive")).rejects.toThrow("no space");
    const unproven: string[] = [];
    const lock = lockOf({ onTaken: async (one) => void unproven.push(...one.unproven) });
    await lock.hold("exclusive", {}, async () => {});
    expect(unproven).toEqual([foreign]);
  });

  test("keeps the lock for as long as its file changes, or if we stood still ourselves", async () => {
    await withSkew(async (skew) => {
      mkdirSync(folder, { recursive: true });
      const path = join(folder, foreign);
      writeFileSync(path, "");
      const watching = new LockFolder(folder, 2_000);
      const abandoned = () => watching.entries(new Set())[0]?.abandoned;
      for (let i = 0; i < 20; i++) {
        expect(abandoned()).toBeUndefined();
        skew(1_000);
        if (i % 2 === 0) utimesSync(path, i, i);
      }
      utimesSync(path, 100, 100);
      expect(abandoned()).toBeUndefined();
      skew(1e9);
      expect(abandoned()).toBeUndefined();
      for (let i = 0; i < 4; i++) {
        skew(600);
        abandoned();
      }
      expect(abandoned()).toBe("silent");
    });
  });

  test("keeps it also if it gives a sign of life at the last moment", async () => {
    await withSkew(async (skew) => {
      mkdirSync(folder, { recursive: true });
      const path = join(folder, foreign);
      writeFileSync(path, "");
      const watching = new LockFolder(folder, 2_000);
      let [entry] = watching.entries(new Set());
      for (let i = 0; i < 10; i++) {
        skew(600);
        [entry] = watching.entries(new Set());
      }
      expect(entry?.abandoned).toBe("silent");
      utimesSync(path, 5, 5);
      expect(watching.passOver(entry as NonNullable<typeof entry>)).toBe(false);
      expect(readdirSync(folder)).toEqual([foreign]);
    });
  });
});

test("one that is passed over before it knows that it has the lock tries again", async () => {
  const takeovers: Takeover[] = [];
  const lock = lockOf({ onTaken: async (takeover) => void takeovers.push(takeover) });
  const { utimesSync } = fs;
  let token = "";
  fs.utimesSync = (path) => {
    fs.utimesSync = utimesSync;
    token = String(path).slice(folder.length + 1);
    renameSync(path as string, join(folder, `fence-${token}`));
    utimesSync(path, 1, 1);
  };
  try {
    expect(await lock.hold("exclusive", {}, async () => "held")).toBe("held");
  } finally {
    fs.utimesSync = utimesSync;
  }
  expect(takeovers.map(({ unproven }) => unproven)).toEqual([[token]]);
});

test("dead waiters keep no one from sharing", async () => {
  mkdirSync(folder, { recursive: true });
  const dead = spawn(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { uniqueToken } from ${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)};
     process.stdout.write(uniqueToken());`,
  ]);
  let token = "";
  for await (const chunk of dead.stdout) token += chunk;
  writeFileSync(join(folder, `wants-${token}`), "");
  await lockOf().hold("shared", {}, async () => {});
  expect(readdirSync(folder).filter((name) => name.startsWith("wants-"))).toEqual([]);
  expect(uniqueToken()).not.toBe(token);
});

test("the marks of waiters of an earlier boot are removed at the first look", () => {
  mkdirSync(folder, { recursive: true });
  const earlier = "4242-1000-4026531836-0badb007-0123456789ab";
  for (const role of ["wants", "waits"]) writeFileSync(join(folder, `${role}-${earlier}`), "");
  writeFileSync(join(folder, `shared-${earlier}`), "");
  const entries = new LockFolder(folder, 10_000).entries(new Set());
  expect(entries.map(({ name }) => name)).toEqual([`shared-${earlier}`]);
  expect(readdirSync(folder)).toEqual([`shared-${earlier}`]);
});

test("the mark of a waiter in another container goes at the first look, unless it is renewed", () => {
  mkdirSync(folder, { recursive: true });
  const [pid = "", start, , boot] = uniqueToken().split("-");
  const hidden = (end: string) => [pid, start, "1", boot, `0123456789${end}`].join("-");
  for (const role of ["wants", "waits"]) {
    for (const end of ["aa", "bb"]) writeFileSync(join(folder, `${role}-${hidden(end)}`), "");
    const long = Date.now() / 1000 - 11;
    utimesSync(join(folder, `${role}-${hidden("aa")}`), long, long);
  }
  const entries = new LockFolder(folder, 10_000).entries(new Set());
  const renewed = [`waits-${hidden("bb")}`, `wants-${hidden("bb")}`];
  expect(entries.map(({ name }) => name).sort()).toEqual(renewed);
  expect(readdirSync(folder).sort()).toEqual(renewed);
});

test("nothing enters a lease before what goes with taking it is done", async () => {
  const order: string[] = [];
  let begun: () => void = () => {};
  let done: () => void = () => {};
  const taking = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    done = resolve;
  });
  const lock = lockOf({
    onTaken: async () => {
      begun();
      await gate;
      order.push("recovered");
    },
  });
  const first = lock.hold("exclusive", {}, async () => order.push("first"));
  await taking;
  expect(lock.enter("exclusive")).toBeUndefined();
  expect(lock.enter("shared")).toBeUndefined();
  expect(lock.current).toBeUndefined();
  const second = lock.hold("exclusive", {}, async () => order.push("second"));
  await new Promise(setImmediate);
  done();
  await Promise.all([first, second]);
  expect(order).toEqual(["recovered", "first", "second"]);
});

test("a look at very many files judges some of them, and the next looks the others", async () => {
  mkdirSync(folder, { recursive: true });
  // Every other waiter is dead; of the rest no one knows.
  const dead = uniqueToken().replace(/^\d+/, String(2 ** 22 + 1));
  const hidden = `1-1-1-${dead.split("-")[3]}-`; // In another container.
  for (let i = 0; i < 300; i++) {
    const owner = i % 2 === 0 ? dead.slice(0, -12) : hidden;
    writeFileSync(join(folder, `wants-${owner}${i.toString(16).padStart(12, "0")}`), "");
  }
  const { now } = performance;
  let time = 0;
  performance.now = () => time++;
  try {
    const watching = new LockFolder(folder, 2_000, 50);
    const lefts: number[] = [];
    do lefts.push(watching.entries(new Set()).length);
    while (readdirSync(folder).length > 150 && lefts.length < 100);
    expect(lefts[0]).toBeGreaterThanOrEqual(250);
    expect(lefts.at(-1)).toBe(150);
    // And those of which no one knows, once they have been silent for long enough.
    while (readdirSync(folder).length > 0 && lefts.length < 1_000) {
      time += 500;
      lefts.push(watching.entries(new Set()).length);
    }
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    performance.now = now;
  }
});
