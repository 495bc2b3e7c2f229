import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, test } from "@jest/globals";
import {
  crc32,
  isToken,
  pidOf,
  processToken,
  stateOf,
  TemporaryDirectory,
  uniqueToken,
} from "@partd/disk";
import fc from "fast-check";
import { crc32ByTable } from "../src/crc32.js";

const entry = new URL("../dist/index.js", import.meta.url).href;

/** What a process of its own, which has ended by then, prints. */
function run(code: string): string {
  const program = `import * as node from ${JSON.stringify(entry)}; ${code}`;
  const args = ["--input-type=module", "--eval", program];
  return spawnSync(process.execPath, args, { encoding: "utf8" }).stdout.trim();
}

describe("crc32", () => {
  test("is that of zlib", () => {
    const check = new TextEncoder().encode("123456789");
    for (const one of [crc32, crc32ByTable]) {
      expect(one(check)).toBe(0xcbf43926);
      expect(one(new Uint8Array(0))).toBe(0);
    }
  });

  test("goes on from a seed, by the table as by zlib", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        const whole = crc32(new Uint8Array([...a, ...b]));
        expect(crc32(b, crc32(a))).toBe(whole);
        expect(crc32ByTable(b, crc32ByTable(a))).toBe(whole);
      }),
    );
  });
});

describe("process tokens", () => {
  test("name this process", () => {
    expect(processToken()).toBe(processToken());
    expect(uniqueToken()).not.toBe(uniqueToken());
    expect(isToken(uniqueToken())).toBe(true);
    expect(isToken(processToken())).toBe(false);
    expect(pidOf(uniqueToken())).toBe(String(process.pid));
    for (const token of [processToken(), uniqueToken()]) expect(stateOf(token)).toBe("running");
  });

  test("tell that a process has ended", () => {
    const token = run("console.log(node.uniqueToken())");
    expect(isToken(token)).toBe(true);
    expect(stateOf(token)).toBe("ended");
  });

  const parts = processToken().split("-");
  const [pid, start, namespace, boot] = parts;
  (start === "0" ? test.skip : test)("tell a process from a later one of its number", () => {
    expect(stateOf(`${pid}-${Number(start) - 1}-${namespace}-${boot}`)).toBe("ended");
    expect(stateOf(`${pid}-0-${namespace}-${boot}`)).toBe("running");
  });

  test("say nothing of another machine, boot or container", () => {
    expect(stateOf(`${pid}-${start}-${namespace}-01234567`)).toBe("unknown");
    expect(stateOf(`${pid}-${start}-1-${boot}`)).toBe("hidden");
    for (const text of ["", "1-1-1-gone", "draft", "1", "NaN-1-1-1", `${uniqueToken()}x`]) {
      expect([text, stateOf(text), isToken(text)]).toEqual([text, "unknown", false]);
    }
  });
});

describe("a temporary directory", () => {
  const kind = `partd-disk-test.${process.pid}`;
  const leftovers: string[] = [];
  afterAll(() => {
    for (const path of leftovers) rmSync(path, { recursive: true, force: true });
  });

  test("is there from make to remove, for its user alone", async () => {
    const one = new TemporaryDirectory(kind);
    expect(existsSync(one.path)).toBe(false);
    await one.make();
    expect(statSync(one.path).mode & 0o777).toBe(0o700);
    writeFileSync(join(one.path, "x"), "1");
    await one.remove();
    await one.remove();
    expect(existsSync(one.path)).toBe(false);
  });

  test("is made with the folders above, or refused where none can be", async () => {
    const folder = join(tmpdir(), `${kind}-above`);
    const deep = new TemporaryDirectory(kind, join(folder, "a", "b"));
    await Promise.all([deep.make(), new TemporaryDirectory(kind, join(folder, "a", "c")).make()]);
    expect(statSync(deep.path).mode & 0o777).toBe(0o700);
    rmSync(folder, { recursive: true });
    const refused = new TemporaryDirectory(kind, "/proc/partd").make(); // Node's own mkdir tries for ever.
    if (process.platform === "linux")
      await expect(refused).rejects.toMatchObject({ code: "ENOENT" });
    else await refused.catch(() => undefined);
  });

  test("goes with its worker, also one that is terminated", async () => {
    const place = join(tmpdir(), `${kind}.workers`);
    mkdirSync(place);
    leftovers.push(place);
    const code = `import { parentPort } from "node:worker_threads";
      import { TemporaryDirectory } from ${JSON.stringify(entry)};
      const one = new TemporaryDirectory("${kind}", ${JSON.stringify(place)});
      await one.make();
      parentPort.postMessage(one.path);
      setInterval(() => {}, 1000);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
    const [left] = await once(worker, "message");
    await worker.terminate();
    const next = new TemporaryDirectory(kind, place);
    await next.make();
    expect(readdirSync(place)).toEqual([basename(next.path)]);
    expect(existsSync(left)).toBe(false);
    await next.remove();
  });

  test.each([
    ["where others are", undefined],
    ["elsewhere", join(tmpdir(), `${kind}.elsewhere`)],
  ])("%s goes with the process whose worker was terminated", (_, place) => {
    if (place !== undefined) leftovers.push(place);
    const code = `import { parentPort } from "node:worker_threads";
      import { TemporaryDirectory } from ${JSON.stringify(entry)};
      const one = new TemporaryDirectory("${kind}", ${JSON.stringify(place)});
      await one.make();
      parentPort.postMessage(one.path);
      setInterval(() => {}, 1000);`;
    const left = run(`const { Worker } = await import("node:worker_threads");
      const worker = new Worker(new URL("data:text/javascript,${encodeURIComponent(code)}"));
      const [path] = await (await import("node:events")).once(worker, "message");
      await worker.terminate();
      console.log(path, (await import("node:fs")).existsSync(path));`);
    const [path = "", wasThere] = left.split(" ");
    expect([wasThere, existsSync(path)]).toEqual(["true", false]);
    expect(existsSync(join(tmpdir(), basename(path)))).toBe(false);
  });

  test("of an earlier boot goes with the next of its kind, unless it was used since", async () => {
    const place = join(tmpdir(), `${kind}.boots`);
    leftovers.push(place);
    const old = join(place, `${kind}-1-1-1-01234567-0123456789ab`);
    const used = join(place, `${kind}-1-1-1-01234567-0123456789ac`);
    for (const each of [old, used]) {
      mkdirSync(each, { recursive: true });
      writeFileSync(join(each, "x"), "1");
      if (each === old) utimesSync(join(each, "x"), 1, 1);
      utimesSync(each, 1, 1);
    }
    const next = new TemporaryDirectory(kind, place);
    await next.make();
    expect([existsSync(old), existsSync(used)]).toEqual([false, true]);
    await next.remove();
  });

  test("is where it was said to be, wherever the process goes", () => {
    const one = new TemporaryDirectory(kind, "relative");
    expect(dirname(one.path)).toBe(resolve("relative"));
  });

  test("goes with its process, or with the next of its kind", async () => {
    const make = (end: string) =>
      run(
        `const one = new node.TemporaryDirectory("${kind}"); await one.make(); ` +
          `(await import("node:fs")).writeSync(1, one.path); ${end}`,
      );
    expect(existsSync(make("process.exit(0)"))).toBe(false);
    const left = make("process.kill(process.pid, 'SIGKILL')");
    leftovers.push(left);
    expect(existsSync(left)).toBe(true);
    const foreign = join(tmpdir(), `${kind}-1-1-1-01234567-0123456789ab`);
    mkdirSync(foreign);
    leftovers.push(foreign);
    const other = new TemporaryDirectory(`${kind}.other`);
    await other.make();
    await other.remove();
    expect(existsSync(left)).toBe(true);
    const next = new TemporaryDirectory(kind);
    await next.make();
    expect([existsSync(left), existsSync(foreign)]).toEqual([false, true]);
    await next.remove();
  });

  test("lies in a folder of the user's choice, and is cleaned up there", async () => {
    const folder = join(tmpdir(), `${kind}.folder`, "deep");
    leftovers.push(join(tmpdir(), `${kind}.folder`));
    const left = run(
      `const one = new node.TemporaryDirectory("${kind}", ${JSON.stringify(folder)}); await one.make(); ` +
        `(await import("node:fs")).writeSync(1, one.path); process.kill(process.pid, "SIGKILL")`,
    );
    expect(left.startsWith(folder)).toBe(true);
    expect(existsSync(left)).toBe(true);
    const next = new TemporaryDirectory(kind, folder);
    await next.make();
    expect([existsSync(left), existsSync(next.path)]).toEqual([false, true]);
    await next.remove();
  });
});
