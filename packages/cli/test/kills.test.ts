import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { BIN, begin, ended, partd, scratch } from "./partd.js";
import { Runner } from "./runner.js";

/** More of them in a long run: PARTD_KILLS=50. */
const KILLS = Number(process.env.PARTD_KILLS ?? 2);

const cwd = scratch();

/** Skewed, so that there are large files and very many small ones. */
const lines = Array.from({ length: 60_000 }, (_, i) => {
  const user = Math.floor((3_000 * ((i * 7919) % 9973) ** 2) / 9973 ** 2);
  return `{"user":"u${user}","id":${i},"text":"${"x".repeat(i % 60)}"}\n`;
});
writeFileSync(join(cwd, "events.ndjson"), lines.join(""));

const folder = (path: string) => {
  const names = readdirSync(join(cwd, path)).sort();
  return names.map((name) => [name, readFileSync(join(cwd, path, name), "utf8")]);
};

const folderIfAny = (path: string) => (existsSync(join(cwd, path)) ? folder(path) : []);

const digestOf = (files: readonly unknown[]) =>
  createHash("sha256").update(JSON.stringify(files)).digest("hex");

const digest = (path: string) => digestOf(folder(path));

/** Names in the directory that a run leaves besides its output. */
const left = (name: string) => readdirSync(cwd).filter((one) => one.startsWith(`.${name}.`));

/** Kills the command after some milliseconds; whether it was still at work. */
async function kill(words: string[], milliseconds: number): Promise<boolean> {
  const child = begin(words, { cwd });
  const timer = globalThis.setTimeout(() => child.kill("SIGKILL"), milliseconds);
  const { signal } = await ended(child);
  clearTimeout(timer);
  return signal === "SIGKILL";
}

/** Kills a process before its change number `at` to a file of the output. */
function dieAt(at: number, output: string): NodeJS.ProcessEnv {
  return {
    NODE_OPTIONS: `--import=${new URL("die-at.mjs", import.meta.url)}`,
    PARTD_DIE_AT: `${at}`,
    PARTD_DIE_OVER: output,
  };
}

/** So little memory that a megabyte is several sorted runs. */
function sortWords(input: string, out: string): string[] {
  const tmp = `${out}-tmp`;
  mkdirSync(join(cwd, tmp), { recursive: true });
  return ["sort", input, "--by", "user,id:desc", "-o", out, "--memory", "1MB", "--tmp", tmp];
}

async function seconds(words: string[]): Promise<number> {
  const start = performance.now();
  expect(await partd(words, { cwd })).toMatchObject({ code: 0 });
  return performance.now() - start;
}

describe("killed at random moments", () => {
  test("split: --resume gives the same bytes", async () => {
    const words = (out: string) => ["split", "events.ndjson", "--by", "user", "--out", out];
    let whole = await seconds(words("expected"));
    const expected = folder("expected");
    let killed = 0;
    for (let i = 0; killed < KILLS; i++) {
      const out = `out-${i}`;
      // Now and then a run that goes on is killed as well.
      for (const again of i % 3 === 2 ? [[], ["--resume"]] : [[]]) {
        if (await kill([...words(out), ...again], Math.random() * whole)) killed++;
        else whole *= 0.9; // The machine has become faster.
        // A directory is there when it is complete, and not before.
        if (existsSync(join(cwd, out))) expect(folder(out)).toEqual(expected);
      }
      const isBegun = existsSync(join(cwd, `.${out}.partial`));
      if (existsSync(join(cwd, out)) && !isBegun) continue;
      const again = await partd(words(out), { cwd });
      expect(again).toMatchObject({ code: isBegun ? 2 : 0 });
      if (!isBegun) {
        // It was killed before it had anything: there is nothing to go on with.
        expect(folder(out)).toEqual(expected);
        continue;
      }
      expect(await partd([...words(out), "--resume"], { cwd })).toMatchObject({ code: 0 });
      expect(folder(out)).toEqual(expected);
      expect(left(out)).toEqual([]);
    }
  }, 600_000);

  test("split --append: --resume adds everything once", async () => {
    const words = (out: string) => [
      "split",
      "events.ndjson",
      "--by",
      "user",
      "--out",
      out,
      "--append",
    ];
    const base = async (out: string) =>
      expect(
        await partd(["split", "events.ndjson", "--by", "user", "--out", out], { cwd }),
      ).toMatchObject({ code: 0 });
    await base("expected-2");
    const whole = await seconds(words("expected-2"));
    const expected = digest("expected-2");
    for (let i = 0; i < Math.ceil(KILLS / 3); i++) {
      const out = `added-${i}`;
      await base(out);
      const before = digest(out);
      // Late, where files are put into place.
      const isKilled = await kill(words(out), whole * (0.6 + 0.4 * Math.random()));
      if (existsSync(join(cwd, `.${out}.partial`))) {
        expect(await partd([...words(out), "--resume"], { cwd })).toMatchObject({ code: 0 });
      } else if (isKilled && digest(out) === before) {
        // On a machine that has become slower it was killed before it had anything.
        expect(await partd(words(out), { cwd })).toMatchObject({ code: 0 });
      }
      expect(digest(out)).toBe(expected);
    }
  }, 600_000);

  test("sort: --resume gives the same bytes, and nothing is left", async () => {
    const words = (out: string) => sortWords("events.ndjson", out);
    let whole = await seconds(words("sorted"));
    const expected = readFileSync(join(cwd, "sorted"), "utf8");
    expect(expected.split("\n").sort()).toEqual(lines.join("").split("\n").sort());
    let killed = 0;
    for (let i = 0; killed < KILLS; i++) {
      const out = `sorted-${i}`;
      if (await kill(words(out), Math.random() * whole)) killed++;
      else whole *= 0.9; // The machine has become faster.
      // Complete or not, this gives the output its name.
      if (existsSync(join(cwd, `.${out}.partial`)) || !existsSync(join(cwd, out))) {
        expect(await partd([...words(out), "--resume"], { cwd })).toMatchObject({ code: 0 });
      }
      expect(readFileSync(join(cwd, out), "utf8")).toBe(expected);
      expect([...left(out), ...readdirSync(join(cwd, `${out}-tmp`))]).toEqual([]);
    }
  }, 600_000);
});

describe("killed before each change that it makes to a file", () => {
  const few = ["a", "b", "a"].map((user, id) => `{"user":"${user}","id":${id}}\n`);
  writeFileSync(join(cwd, "few.ndjson"), few.join(""));
  const whole = [
    ["a.ndjson", `${few[0]}${few[2]}`],
    ["b.ndjson", `${few[1]}`],
  ] as const;
  const runner = new Runner(cwd);

  /** Runs a command once; then calls `check` with what lies in its folder as a kill before each change leaves it. */
  async function eachKill(
    at: string,
    words: readonly string[],
    check: (change: number) => Promise<void>,
  ): Promise<void> {
    const copies = `${at}-copies`;
    const env = { ...dieAt(0, at), PARTD_COPY_OF: at, PARTD_COPY_TO: copies };
    expect(await partd(words, { cwd, env })).toMatchObject({ code: 0 });
    const changes = readdirSync(join(cwd, copies)).length;
    expect(changes).toBeGreaterThan(8);
    for (let change = 1; change <= changes; change++) {
      rmSync(join(cwd, at), { recursive: true });
      renameSync(join(cwd, copies, `${change}`), join(cwd, at));
      await check(change);
    }
  }

  for (const [kind, option] of [
    ["a new directory", []],
    ["--append", ["--append"]],
    ["--force", ["--force"]],
  ] as const) {
    test(`split into ${kind}: the next run completes it, once`, async () => {
      const at = `each${option.join("")}`;
      mkdirSync(join(cwd, at));
      const out = `${at}/out`;
      const plain = ["split", "few.ndjson", "--by", "user", "--out", out];
      const words = [...plain, ...option];
      if (option.length > 0) expect(await runner.run(plain)).toMatchObject({ code: 0 });
      const before = folderIfAny(out);
      const times = option[0] === "--append" ? 2 : 1;
      const expected = whole.map(([name, text]) => [name, text.repeat(times)]);
      await eachKill(at, words, async (change) => {
        if (existsSync(join(cwd, at, ".out.partial"))) {
          const again = await runner.run([...words, "--resume"]);
          expect([change, again]).toMatchObject([change, { code: 0 }]);
        } else if (digestOf(folderIfAny(out)) === digestOf(before)) {
          expect(await runner.run(words)).toMatchObject({ code: 0 });
        }
        expect([change, folder(out)]).toEqual([change, expected]);
      });
    });
  }

  test("sort: --resume goes on, once", async () => {
    const some = lines.slice(0, 20_000);
    writeFileSync(join(cwd, "some.ndjson"), some.join(""));
    const words = sortWords("some.ndjson", "sorting/out");
    expect(await runner.run(words)).toMatchObject({ code: 0 });
    const expected = readFileSync(join(cwd, "sorting/out"), "utf8");
    rmSync(join(cwd, "sorting/out"));
    let kept = 0;
    let placed = 0;
    await eachKill("sorting", words, async (change) => {
      const isKept = readdirSync(join(cwd, "sorting/out-tmp")).length > 0;
      const isPlaced = existsSync(join(cwd, "sorting/out"));
      if (isKept) {
        kept++;
        const refused = await runner.run(words);
        expect([change, refused]).toMatchObject([
          change,
          { code: 2, err: expect.stringContaining("--resume goes on with it") },
        ]);
      }
      if (isPlaced) placed ||= change;
      else expect(await runner.run([...words, "--resume"])).toMatchObject({ code: 0, err: "" });
      expect(readFileSync(join(cwd, "sorting/out"), "utf8") === expected).toBe(true);
      if (!isPlaced) expect(readdirSync(join(cwd, "sorting"))).toEqual(["out", "out-tmp"]);
      if (!isPlaced) expect(readdirSync(join(cwd, "sorting/out-tmp"))).toEqual([]);
    });
    expect(kept).toBeGreaterThan(2);

    // A copy of the output is another file, so that this takes a real kill: all is done but for what is left.
    rmSync(join(cwd, "sorting"), { recursive: true });
    sortWords("some.ndjson", "sorting/out");
    expect(await partd(words, { cwd, env: dieAt(placed, "sorting") })).toMatchObject({
      signal: "SIGKILL",
    });
    expect(readdirSync(join(cwd, "sorting"))).toEqual([".out.partial", "out", "out-tmp"]);
    expect(await runner.run([...words, "--resume"])).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(join(cwd, "sorting/out"), "utf8") === expected).toBe(true);
    expect(readdirSync(join(cwd, "sorting"))).toEqual(["out", "out-tmp"]);
    expect(readdirSync(join(cwd, "sorting/out-tmp"))).toEqual([]);
  });
});

test("an interrupted run is not gone on with after its inputs have changed", async () => {
  writeFileSync(join(cwd, "changing.ndjson"), lines.join(""));
  const words = ["split", "changing.ndjson", "--by", "user", "--out", "changed"];
  expect(await partd(words, { cwd, env: dieAt(6, "changed") })).toMatchObject({
    signal: "SIGKILL",
  });
  expect(existsSync(join(cwd, ".changed.partial"))).toBe(true);
  writeFileSync(join(cwd, "changing.ndjson"), '{"user":"new"}\n');
  const refused = await partd([...words, "--resume"], { cwd });
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.err).toContain("inputs have changed");
  expect(await partd([...words, "--force"], { cwd })).toMatchObject({ code: 0 });
  expect(folder("changed")).toEqual([["new.ndjson", '{"user":"new"}\n']]);
});

test("two runs do not write one directory at a time", async () => {
  const words = ["split", "-", "--by", "user", "--out", "shared"];
  const first = spawn(process.execPath, [BIN, ...words], { cwd, stdio: "pipe" });
  first.stdin.write(lines.slice(0, 10_000).join(""));
  while (!existsSync(join(cwd, ".shared.partial"))) await setTimeout(5);
  const second = await partd([...words, "--resume"], { cwd, input: lines[0] as string });
  expect(second).toMatchObject({ code: 1 });
  expect(second.err).toContain(`another partd (process ${first.pid}) is writing shared`);
  first.stdin.end();
  expect(await ended(first)).toMatchObject({ code: 0 });
});

test("Ctrl-C leaves nothing, and ends with 130", async () => {
  const words = ["sort", "events.ndjson", "--by", "id:desc", "-o", "broken", "--json"];
  const child = begin(words, { cwd });
  const end = ended(child);
  while (left("broken").length === 0 && child.exitCode === null) await setTimeout(1);
  child.kill("SIGINT");
  const { code, err } = await end;
  expect(code).toBe(130);
  expect(JSON.parse(err.trimEnd().split("\n").at(-1) as string)).toMatchObject({
    error: { code: "INTERRUPTED", exitCode: 130 },
  });
  expect(readdirSync(cwd).filter((name) => name.includes("broken"))).toEqual([]);
});

test("Ctrl-C ends a command that waits for standard input", async () => {
  const words = ["sort", "--from", "ndjson", "--by", "id", "--reject", "waiting"];
  const child = spawn(process.execPath, [BIN, ...words], { cwd, stdio: "pipe" });
  const end = ended(child);
  while (left("waiting").length === 0) await setTimeout(5);
  child.kill("SIGINT");
  expect(await end).toMatchObject({ code: 130, signal: null, out: "" });
  expect(left("waiting")).toEqual([]);
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)(
  "%s ends a command whose reader reads nothing, and leaves nothing",
  async (signal, code) => {
    // More than a pipe takes, in one write: when some of it arrives, the rest waits.
    writeFileSync(join(cwd, "long.ndjson"), `{"id":"${"x".repeat(4 << 20)}"}\n`);
    const words = ["distinct", "long.ndjson", "--reject", "unread"];
    const child = begin(words, { cwd });
    await once(child.stdout as Readable, "readable");
    let err = "";
    child.stderr?.on("data", (piece: Buffer) => {
      err += piece;
    });
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([code, null]);
    expect(err).toContain(signal === "SIGINT" ? "interrupted" : `ended by ${signal}`);
    expect(left("unread")).toEqual([]);
    child.stdout?.destroy();
  },
);

test("a second SIGTERM ends a command that waits for the reader of a named pipe", async () => {
  expect(spawnSync("mkfifo", [join(cwd, "unread.pipe")]).status).toBe(0);
  const child = begin(["sort", "-", "--by", "id", "-o", "unread.pipe"], { cwd });
  const end = once(child, "exit");
  const [SIGHUP, SIGTERM] = [1, 15];
  while (!catches(child.pid as number, SIGHUP)) await setTimeout(5); // Then the command runs.
  child.kill("SIGTERM");
  while (catches(child.pid as number, SIGTERM)) await setTimeout(5);
  child.kill("SIGTERM");
  expect(await end).toEqual([null, "SIGTERM"]);
});

/** Whether a process has a handler for a signal. */
function catches(pid: number, signal: number): boolean {
  const [, mask] = /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
}
