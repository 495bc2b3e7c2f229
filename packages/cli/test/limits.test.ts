import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { describeReal, realPart } from "tooling/real-part";
import { RecordSource } from "../src/records/record-source.js";
import { BIN, type Ended, ended, partd, scratch } from "./partd.js";

const cwd = scratch();
const lines = Array.from(
  { length: 20_000 },
  (_, i) => `{"user":"u${i % 2_000}","id":${i},"x":"${"x".repeat(90)}"}\n`,
);
writeFileSync(join(cwd, "events.ndjson"), lines.join(""));

const PARTD = `"${process.execPath}" "${BIN}"`;
const bash = (script: string): Promise<Ended> =>
  ended(spawn("bash", ["--norc", "-c", script], { cwd, env: { ...process.env, NO_COLOR: "1" } }));

describe("few files: ulimit -n 64", () => {
  test.each([
    ["split events.ndjson --by user --out users", "users"],
    ["split events.ndjson --by user --out parts --partitions 500 --memory 1MB", "parts"],
    ["sort events.ndjson --by id:desc -o sorted --memory 1MB", "sorted"],
    ["group events.ndjson --by user --count --max id -o groups --memory 1MB", "groups"],
    ["join events.ndjson events.ndjson --on id -o joined --memory 1MB", "joined"],
  ])("partd %s", async (words, out) => {
    expect(await bash(`ulimit -n 64; ${PARTD} ${words}`)).toMatchObject({ code: 0 });
    expect(existsSync(join(cwd, out))).toBe(true);
  });
});

describe("memory", () => {
  test.each(["arrow", "parquet"])("a sort into %s holds little of the table", async (format) => {
    const line = (i: number) =>
      JSON.stringify({ id: (i * 7919) % 400_000, user: `u${i % 1000}`, text: "x".repeat(i % 150) });
    const table = Array.from({ length: 400_000 }, (_, i) => line(i));
    writeFileSync(join(cwd, "many.ndjson"), `${table.join("\n")}\n`); // 48 MB.
    const hook = `import { peakMemory } from ${JSON.stringify(import.meta.resolve("tooling/peak-memory"))};
      process.on("exit", () => process._rawDebug(peakMemory() / 2 ** 20));`;
    const words = [
      "sort",
      "many.ndjson",
      "--by",
      "id",
      "-o",
      `sorted.${format}`,
      "-m",
      "32MB",
      "-q",
    ];
    const start = ["--import", `data:text/javascript,${encodeURIComponent(hook)}`, BIN, ...words];
    const { code, err } = await ended(spawn(process.execPath, start, { cwd }));
    expect(code).toBe(0);
    // 153 MiB for Arrow, 131 for Parquet; with all lines in memory, 412 and 275.
    expect(Number(err)).toBeLessThan(32e6 / 2 ** 20 + 150);
    expect(Number(err)).toBeGreaterThan(50);
  });

  test.each([0, 100_000])("a source tells what a long record behind %d others takes", async (n) => {
    writeFileSync(
      join(cwd, "long.ndjson"),
      `${'{"a":"short"}\n'.repeat(n)}{"a":"${"x".repeat(9e6)}"}\n`,
    );
    await using source = new RecordSource({
      paths: [join(cwd, "long.ndjson")],
      format: "ndjson",
      delimiter: undefined,
      quotes: true,
      names: undefined,
      input: undefined,
      longestRecord: undefined,
      longestKey: Number.POSITIVE_INFINITY,
      mayShareLong: false,
      onReject: undefined,
      fields: ["a"],
      required: ["a"],
      only: undefined,
      isStrict: true,
      onMissing: () => {},
      signal: new AbortController().signal,
      onBatch: async () => {},
    });
    await source.begin();
    const told: number[] = [];
    let records = 0;
    const scanner = source.format.scanner(["a"]);
    for await (const batch of source.batches({ onGrow: (bytes) => void told.push(bytes) })) {
      records += scanner.scan(batch).count;
    }
    expect(records).toBe(n + 1);
    expect(Math.max(...told)).toBeGreaterThan(9e6);
    expect(told.at(-1)).toBe(0);
  });
});

const mayMount =
  process.platform === "linux" &&
  spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", cwd]).status === 0;
const onSmallDisk = (size: string, script: string): Promise<Ended> => {
  const disk = join(cwd, "disk");
  mkdirSync(disk, { recursive: true });
  const whole = `mount -t tmpfs -o size=${size} none disk && { ${script}; }; code=$?; ls -A disk; exit $code`;
  return ended(
    spawn("unshare", ["--mount", "bash", "-c", whole], {
      cwd,
      env: { ...process.env, NO_COLOR: "1" },
    }),
  );
};

(mayMount ? test : test.skip)("a read-only folder for temporary data is told as one", async () => {
  const words = "sort events.ndjson --by id --memory 1MB";
  const { code, err } = await onSmallDisk("1m,ro", `TMPDIR=disk ${PARTD} ${words} -o not-sorted`);
  expect(code).toBe(1);
  expect(err).toMatch(
    /^partd: Cannot make .*: the process may not write there, and .*; choose another folder with --tmp/,
  );
  const table = await onSmallDisk("1m,ro", `${PARTD} ${words} --tmp disk --to parquet | wc -c`);
  expect(table.err).toMatch(/^partd: .*the process may not write there|read-only/);
});

test.each(["sort --by id --memory 1MB", "distinct", "group --by user"])(
  "%s: a folder that goes before the output is complete",
  async (command) => {
    const rename = `async (from, to) => { fs.rmSync("gone", { recursive: true }); return plain(from, to); }`;
    const hook = `import fs from "node:fs"; import { syncBuiltinESMExports } from "node:module"; const plain = fs.promises.rename; fs.promises.rename = ${rename}; syncBuiltinESMExports();`;
    mkdirSync(join(cwd, "gone"));
    const [name, ...options] = command.split(" ") as [string, ...string[]];
    const words = [name, "events.ndjson", ...options, "-o", "gone/out"];
    const env = { NODE_OPTIONS: `--import "data:text/javascript,${encodeURIComponent(hook)}"` };
    const { code, out, err } = await partd(words, { cwd, env });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^partd: a file or directory was removed while this ran.*no .*\/gone\)\n$/);
    expect(readdirSync(cwd)).not.toContain("gone");
  },
);

(mayMount ? describe : describe.skip)("a full disk", () => {
  test("is foreseen: nothing is begun", async () => {
    const refused = await onSmallDisk(
      "1m",
      `${PARTD} split events.ndjson --by user --out disk/users`,
    );
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toMatch(
      /disk\/users has .* free, and this takes about .*; choose another disk/,
    );
  });

  test("is named, and nothing half is left", async () => {
    for (const words of [
      "split events.ndjson --by user --out disk/users --force",
      "split events.ndjson --by user --partitions 4 --out disk/parts --force",
      "sort events.ndjson --by id -o disk/sorted --force",
      "sort - --by id --memory 1MB --tmp disk -o sorted-2 < events.ndjson",
    ]) {
      const failed = await onSmallDisk("1m", `${PARTD} ${words}`);
      expect([words, failed.code]).toEqual([words, 1]);
      expect(failed.err).toMatch(/^partd: .*(full|space)/im);
      expect(failed.err).not.toMatch(/^\s+at /m);
      if (words.includes("--tmp")) expect(failed.err).toMatch(/choose another disk with --tmp/i);
      if (words.includes("--partitions")) {
        expect(failed.err).toMatch(/choose another disk with --out/i);
        expect(failed.err).not.toContain("--memory");
      }
      if (!words.startsWith("split")) expect([words, failed.out]).toEqual([words, ""]);
    }
    expect(existsSync(join(cwd, "sorted-2"))).toBe(false);
  });

  test("a limit of file sizes: --tmp is another disk", async () => {
    const sort = `${PARTD} sort events.ndjson --by id --memory 1MB`;
    expect((await bash(`ulimit -f 100; ${sort} | tail -0`)).err).toMatch(
      /^partd: Cannot spill to .*ulimit -f\) allows; choose another disk with --tmp, or raise --memory\.\n$/,
    );
  });

  test("in the middle of a split: --resume goes on once there is room", async () => {
    const split = `${PARTD} split events.ndjson --by user --out disk/users`;
    const ended = await onSmallDisk(
      "4m",
      `head -c 2000000 /dev/zero > disk/filler; ! ${split} --force 2>told && grep -q 'resume goes on with it' told && rm disk/filler && mount -o remount,size=40m disk && ${split} --resume 2>/dev/null && cat disk/users/*.ndjson | sort | md5sum > sum`,
    );
    expect(ended).toMatchObject({ code: 0, out: "users\n" });
    const expected = await bash("sort events.ndjson | md5sum");
    expect(readFileSync(join(cwd, "sum"), "utf8")).toBe(expected.out);
  });
});

describe("outputs that are not plain files", () => {
  test("a device is written to, a link stays a link", async () => {
    expect(
      await partd(["sort", "events.ndjson", "--by", "id", "-o", "/dev/null"], { cwd }),
    ).toMatchObject({ code: 0 });
    expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
    const full = await partd(["sort", "events.ndjson", "--by", "id", "-o", "/dev/full"], { cwd });
    expect(full).toMatchObject({ code: 1 });
    expect(full.err).toContain("the disk is full");
    writeFileSync(join(cwd, "target"), "");
    symlinkSync("target", join(cwd, "link"));
    expect(await partd(["count", "events.ndjson", "-o", "link", "--force"], { cwd })).toMatchObject(
      { code: 0 },
    );
    expect(lstatSync(join(cwd, "link")).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(cwd, "target"), "utf8")).toBe('{"count":20000}\n');
  });

  test("standard output that is full is an error", async () => {
    const failed = await bash(`${PARTD} sort events.ndjson --by id > /dev/full`);
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.err).toContain("the disk is full");
  });

  test("a standard error that is full, or that nobody reads, changes nothing", async () => {
    for (const [out, end] of [
      ["told-to-none", " 2>&1 | true"],
      ["told-to-full", " 2>/dev/full"],
    ] as const) {
      const words = `sort events.ndjson --by id --memory 1MB --json -o ${out}`;
      const told = await bash(`${PARTD} ${words}${end}; echo "\${PIPESTATUS[0]}"`);
      expect(told).toMatchObject({ out: "0\n", err: "" });
      expect(existsSync(join(cwd, out))).toBe(true);
    }
    const split = await bash(`${PARTD} split events.ndjson --by user --out told-of 2>/dev/full`);
    expect(split).toMatchObject({ code: 0, out: "" });
    expect(await bash(`${PARTD} count missing.csv 2>/dev/full`)).toMatchObject({ code: 2 });
  });

  test.each([
    ["distinct", '{"a":1}\n'],
    ["distinct --by a", '{"a":1}\n'],
    ["distinct --by a --to json", '[\n{"a":1}'],
    ["join - one.ndjson --on a", '{"a":1}\n'],
  ])("%s writes what it has where the input pauses or has no end", async (words, expected) => {
    writeFileSync(join(cwd, "one.ndjson"), '{"a":1}\n');
    for (const [command, ...given] of [["cat"], ["yes", '{"a":1}']] as [string, ...string[]][]) {
      const source = spawn(command, given);
      source.stdin.write('{"a":1}\n');
      const stdio = [source.stdout, "pipe", "inherit"] as const;
      const child = spawn(process.execPath, [BIN, ...words.split(" ")], { cwd, stdio: [...stdio] });
      const [begun] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
      expect([command, String(begun).slice(0, expected.length)]).toEqual([command, expected]);
      child.kill("SIGKILL");
      source.kill("SIGKILL");
    }
  });

  test("a reader that leaves ends the run quietly", async () => {
    for (const words of [
      "sort events.ndjson --by id",
      "group events.ndjson --by user",
      "distinct events.ndjson",
    ]) {
      const piped = await bash(`${PARTD} ${words} | head -n 1 | wc -l; echo "\${PIPESTATUS[0]}"`);
      expect(piped).toMatchObject({ out: "1\n0\n", err: "" });
    }
    expect(readdirSync(cwd).filter((name) => name.includes("partial"))).toEqual([]);
  });
});

const onTerminal = (words: string, input = "") =>
  bash(`printf '${input}' | script -qefc '${PARTD.replaceAll('"', "")} ${words}' typescript`);

describeReal(realPart.program("script", "bsdutils"), "on a terminal", () => {
  test("what is typed is waited for, and that is said", async () => {
    const { out } = await onTerminal("count --by user", '{"user":7}\\n\\004');
    expect(out).toMatch(/partd: reading from the terminal: end it by Ctrl-D.*"count":1/s);
    expect((await onTerminal("append typed k", "\\004")).out).toContain(
      "reading from the terminal",
    );
    expect((await onTerminal("count --by user -q", "\\004")).out).not.toContain("partd:");
  });

  test("help is as wide as a narrow screen", async () => {
    const narrow = `'stty cols 50; ${PARTD.replaceAll('"', "")} sort --help'`;
    const { out } = await bash(`script -qefc ${narrow} typescript < /dev/null`);
    const options = out.slice(out.indexOf("Options:")).split(/\r?\n/);
    expect(options.length).toBeGreaterThan(30);
    expect(options.filter((line) => line.length > 50)).toEqual([]);
  });

  test("a bar is no longer than a narrow screen", async () => {
    const sort = `${PARTD.replaceAll('"', "")} sort events.ndjson --by user --memory 1MB -o narrow`;
    const { code, out } = await bash(`script -qefc 'stty cols 20; ${sort}' typescript < /dev/null`);
    expect(code).toBe(0);
    const bars = out.split(/[\r\n]+/).map((line) => line.replaceAll("\u001b[K", ""));
    expect(bars).toContainEqual(expect.stringMatching(/^(?:reading|writing) /));
    for (const bar of bars) expect(bar.length).toBeLessThan(20);
  });

  test("a bar, and the line is cleared behind it", async () => {
    const { code, out } = await onTerminal(
      "sort events.ndjson --by user,id:desc -o on-terminal --force",
    );
    expect(code).toBe(0);
    expect(out).toMatch(/\r(reading|writing) .*\d+%.*\/s .*records/);
    expect(out.endsWith("\r\u001b[K")).toBe(true);
    const quiet = await onTerminal("sort events.ndjson --by user -o on-terminal --force --quiet");
    expect(quiet.out).toBe("");
  });

  test("drop asks, and only yes deletes", async () => {
    await partd(["append", "asked", "x"], { cwd, input: "y" });
    const kept = await onTerminal("drop asked", "no\\n");
    expect(kept.code).toBe(1);
    expect(kept.out).toContain("Delete the one key of");
    expect((await partd(["ls", "asked"], { cwd })).out).toBe("x\n");
    expect((await onTerminal("drop asked", "yes\\n")).code).toBe(0);
    expect((await partd(["ls", "asked"], { cwd })).out).toBe("");
  });
});

describeReal(realPart.program("script", "bsdutils"), "what is not text", () => {
  test("is not shown on a terminal", async () => {
    await partd(["append", "binary", "x"], { cwd, input: "a\u001b[31mb" });
    for (const words of ["get binary x", "distinct events.ndjson --to parquet"]) {
      const { code, out } = await onTerminal(words);
      expect([words, code]).toEqual([words, 2]);
      expect(out).toContain("is not text to look at");
    }
    expect((await partd(["get", "binary", "x"], { cwd })).out).toBe("a\u001b[31mb");
  });
});

test("progress for machines: one object a line on standard error", async () => {
  const many = lines.join("").repeat(10);
  const { code, err } = await partd(["sort", "-", "--by", "user", "-o", "many", "--json"], {
    cwd,
    input: many,
  });
  expect(code).toBe(0);
  const told = err
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(told.length).toBeGreaterThan(0);
  for (const { progress } of told) {
    expect(Object.keys(progress)).toEqual(
      expect.arrayContaining(["phase", "records", "bytesDone", "memory", "seconds"]),
    );
  }
});

test("an output's name may be as long as the disk takes, in whatever script", async () => {
  const name = `${"長".repeat(83)}.json`; // 254 bytes
  expect(await partd(["sort", "events.ndjson", "--by", "id", "-o", name], { cwd })).toMatchObject({
    code: 0,
  });
  const folder = "名".repeat(85); // 255 bytes
  const words = ["split", "events.ndjson", "--by", "user", "--out", folder];
  expect(await partd(words, { cwd })).toMatchObject({ code: 0 });
  expect(readdirSync(join(cwd, folder))).toHaveLength(2_000);
  expect(readdirSync(cwd).filter((one) => one.startsWith("."))).toEqual([]);
});
