import { spawn } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { EXIT_CODES } from "../src/command/failure.js";
import { parseBytes, parseCount, showBytes, showSeconds } from "../src/command/quantity.js";
import { reportFailure } from "../src/command/report-failure.js";
import { commands } from "../src/run.js";
import { manPage } from "../src/shell/man.js";
import { barLine } from "../src/terminal/progress.js";
import { BIN, ended, partd, scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);
writeFileSync(join(cwd, "e.ndjson"), '{"a":1}\n');
writeFileSync(join(cwd, "book.xlsx"), "");
symlinkSync("circle.ndjson", join(cwd, "circle.ndjson"));

describe("help", () => {
  test.each(commands.map(({ name }) => name))("partd %s --help: examples first", async (name) => {
    const { code, out, err } = await runner.run([name, "--help"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const lines = out.split("\n");
    expect(lines[2]).toBe("Examples:");
    expect(lines.slice(3, 9).filter((line) => /^ {2}# /.test(line))).toHaveLength(3);
    expect(lines.every((line) => line.length <= 120)).toBe(true);
  });

  test("partd help sort is partd sort --help", async () => {
    expect(await runner.run(["help", "sort"])).toEqual(await runner.run(["sort", "--help"]));
  });

  test("partd version is partd --version", async () => {
    expect(await runner.run(["version"])).toEqual(await runner.run(["--version"]));
  });

  test("every option of an example is one of its command", () => {
    for (const { name, options, examples } of commands) {
      for (const { line } of examples) {
        const at = line.indexOf(`partd ${name}`);
        if (at < 0) continue;
        for (const [, flag] of line.slice(at).matchAll(/\s--([a-z-]+)/g)) {
          expect(options.map((option) => option.name)).toContain(flag);
        }
      }
    }
  });

  test("the overview lists the commands and the exit codes", async () => {
    const { out } = await partd(["--help"]);
    for (const { name } of commands) expect(out).toContain(`  ${name} `);
    for (const { summary } of commands) expect(out.replace(/\s+/g, " ")).toContain(summary);
    expect(out).toMatch(/3 {2}.*--reject/s);
  });

  test("the man page that is packed is the one of this text", () => {
    const packed = readFileSync(new URL("../man/partd.1", import.meta.url), "utf8");
    expect(packed).toBe(manPage(commands));
  });
});

test("the guide names every command and exit code", () => {
  const guide = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
  for (const { name } of commands)
    expect(guide).toMatch(new RegExp(`^\\|.*\`${name}\`.*\\|$`, "m"));
  for (const [code] of EXIT_CODES) expect(guide).toContain(`| ${code} |`);
});

describe("mistakes", () => {
  test.each([
    [["gett", "x"], "unknown command 'gett'; did you mean get?"],
    [["ls", "x", "--sotr", "key"], "unknown option '--sotr'; did you mean --sort?"],
    [["dedupe", "e.ndjson"], "unknown command 'dedupe'; did you mean distinct?"],
    [["top", "e.ndjson"], "unknown command 'top'; did you mean count?"],
    [["count", "e.ndjson", "--on", "a"], "partd count has no --on: say --by FIELD"],
    [["count", "e.ndjson", "-d;"], "partd count has no -d: say --delimiter CHAR"],
    [["join", "e.ndjson", "e.ndjson", "--left-on", "a"], "say --on LEFT=RIGHT"],
    [["join", "e.ndjson", "e.ndjson", "--on", "a", "--how", "left"], "say --type KIND"],
    [["distinct", "e.ndjson", "--format", "csv"], "say --from FORMAT, or --to FORMAT"],
    [["ls"], "missing required argument 'dataset'"],
    [["ls", "a", "b"], "too many arguments"],
    [["ls", "x", "--sort", "size"], '--sort takes key or bytes, not "size"'],
    [["stat", "x", "--top", "-1"], "--top takes a whole number"],
    [["serve", "x", "--memory", "lots"], "--memory takes a size such as 512MB"],
    [["sort", "x", "--memory", "5kB"], '--memory takes 1MB or more, not "5kB"'],
    [["ls", "http://localhost"], "a server's address begins with ws://"],
    [["get", "x", "k", "--codec", "jsno"], "there is no data set"],
    [
      ["ls", ".", "--token-file", "none"],
      "--token-file is for a server's address, and . is a path",
    ],
    [["append", "x", "e.ndjson", "--by", "a", "--ca", "none"], "--ca is for a server's address"],
    [["get", "wss://localhost:1", "k", "--ca", "none"], "--ca none cannot be read: ENOENT"],
    [["stat", "ipc://x", "--token-file", "none"], "--token-file none cannot be read: ENOENT"],
    [["stat", "ipc://x", "--ca", "e.ndjson"], "--ca is for wss://, and ipc://x is not encrypted"],
    [["ls", "ws://localhost:1", "--store", "log"], "--store says what a directory is"],
    [["append", "ws://localhost:1", "k", "e.ndjson", "--fsync"], "partd serve --fsync says"],
    [["serve", "x", "--token-file", "none"], "--token-file none cannot be read: ENOENT"],
    [[], "which command?"],
    [["sort", "e.ndjson", "--by", "a:descending"], "no order descending; did you mean desc?"],
    [["split", "e.ndjson", "--by", "a", "--out", "o", "--name", "{a}.csv"], "end it in .ndjson"],
    [
      ["split", "e.ndjson", "--by", "a", "--out", "o", "--name", "{a}/b"],
      "all files lie in one folder",
    ],
    [["sort", "-", "--by", "a", "--resume"], "--resume needs inputs that are files"],
    [["help", "cuont"], "unknown command 'cuont'; did you mean count?"],
    [["--json", "count", "e.ndjson"], "--json goes after the command: partd count --json …"],
    [["sort", "e.ndjson", "-k", "1"], "partd sort has no -k: say --by FIELD"],
    [["sort", "e.ndjson", "--by", "a", "-nr"], "partd sort has no -n: say --by FIELD:numeric"],
    [["group", "e.ndjson", "--avg", "a"], "partd group has no --avg: say --mean FIELD"],
    [["count", "", "--by", "a"], "the name of an input is empty; is a variable unset?"],
    [["count", "x\ufffd.ndjson"], "a name that is not UTF-8 does not reach Node whole"],
    [["count", "circle.ndjson"], "circle.ndjson cannot be read: ELOOP"],
    [["count", "e.ndjson", "-o", "new/"], "new/ is the name of a directory: name the file in it"],
    [
      ["split", "e.ndjson", "--by", "a", "--out", "o", "--name", "{a}.ndjson.bz2"],
      "what is written is ndjson, not packed; end it in .ndjson",
    ],
    [
      ["split", "e.ndjson", "--by", "a", "--out", "o", "--name", "{a}.xlsx"],
      "--name {a}.xlsx: what is written is ndjson",
    ],
    [
      ["sort", "e.ndjson", "--by", "a", "-o", "r.xlsx"],
      "r.xlsx: .xlsx is not written; end it in .ndjson, .json, .csv,",
    ],
    [["count", "e.ndjson", "-o", "r.avro.gz"], "r.avro.gz: .avro is not written"],
    [["join", "e.ndjson", "e.ndjson", "--on", "a", "-o", "r.sqlite"], ".sqlite is not written"],
    [["count", "e.ndjson", "--reject", "r.gz"], "--reject r.gz: what is written is ndjson"],
    [["count", "e.ndjson", "--by", "a", "--missing", "r.parquet"], "--missing r.parquet: what is"],
    [["append", "x", "e.ndjson", "--by", "a", "--reject", "r.csv"], "--reject r.csv: what is"],
    [["count", "e.ndjson", "--top", "3"], "--top goes with --by FIELD"],
    [["count", "e.ndjson", "--missing", "skip"], "--missing goes with --by FIELD"],
    [["distinct", "e.ndjson", "--missing", "skip"], "--missing goes with --by FIELD"],
    [["group", "e.ndjson", "--count", "--missing", "m"], "--missing goes with --by FIELD"],
    [["get", "x", "k\ufffd"], "k\ufffd: a name that is not UTF-8 does not reach Node whole"],
    [["count", "e.ndjson", "-o", "o\ufffd"], "a name that is not UTF-8"],
    [
      ["count", "https://a.org/e.csv"],
      "is an address, and files are read: pipe it in, as curl -s URL",
    ],
    [["count", "book.xlsx"], "book.xlsx: .xlsx is not read; export it as one of ndjson,"],
  ])("partd %j: %s", async (words, message) => {
    const { code, out, err } = await runner.run(words as string[]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(message);
    expect(err).not.toMatch(/^\s+at /m);
  });

  const good: { readonly [command: string]: readonly string[] } = {
    split: ["e.ndjson", "--by", "a", "--out", "bad"],
    group: ["e.ndjson", "--by", "a", "--count"],
    count: ["e.ndjson", "--by", "a"],
    join: ["e.ndjson", "e.ndjson", "--on", "a"],
    distinct: ["e.ndjson", "--by", "a"],
    sort: ["e.ndjson", "--by", "a"],
    get: ["held", "k"],
    verify: ["held"],
    append: ["bad", "e.ndjson", "--by", "a"],
    delete: ["bad", "k"],
    doctor: [],
  };
  /** Options that take any text. */
  const any =
    /^(?:prefix|name|suffix|null|by|on|sum|min|max|mean|first|last|out|reject|missing|tmp|token-file|ca|cert|key)$/;

  test.each(commands.filter(({ options }) => options.some(({ value }) => value)))(
    "a wrong value of an option of $name is wrong use, and nothing is made",
    async ({ name, options }) => {
      await runner.run(["append", "held", "k"], "x");
      const before = readdirSync(cwd);
      for (const option of options.filter(({ value }) => value !== undefined)) {
        const wrong = any.test(option.name) ? [""] : ["", "foo", "-1", "{"];
        for (const value of option.name === "prefix" ? [] : wrong) {
          const given = `--${option.name}=${value}`;
          const { code, err } = await runner.run([name, ...(good[name] ?? ["bad"]), given]);
          expect([given, code, err]).toEqual([
            given,
            2,
            expect.stringContaining(`--${option.name} `),
          ]);
        }
      }
      expect(readdirSync(cwd)).toEqual(before);
    },
  );

  test.each([
    [
      ["serve", "bad", "--origin", "example.org"],
      '--origin has "example.org", which is not an origin: write it as "https://example.org"',
    ],
    [["serve", "bad", "--address", "ipc://"], "names no file"],
    [
      ["serve", "bad", "--address", "ipc://none/x.sock"],
      "--address ipc://none/x.sock: there is no directory none",
    ],
    [["ls", "ipc://"], "names no file"],
  ])("partd %j: %s, and nothing is made", async (words, message) => {
    const before = readdirSync(cwd);
    const { code, err } = await runner.run(words);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) });
    expect(readdirSync(cwd)).toEqual(before);
  });

  test("in a directory that has been removed", async () => {
    const shell = `mkdir removed && cd removed && rmdir ../removed && "${process.execPath}" "${BIN}" ls x`;
    const { code, err } = await ended(spawn("bash", ["--norc", "-c", shell], { cwd }));
    expect({ code, err }).toEqual({
      code: 1,
      err: "partd: the current directory has been removed; cd to another\n",
    });
  });

  test.each([
    ["n".repeat(300), "a name is longer than the file system takes"],
    ["circle.ndjson", "symbolic links lead in a circle"],
  ])("-o %s", async (out, message) => {
    const { code, err } = await runner.run(["count", "e.ndjson", "-o", out]);
    expect(code).toBe(1);
    expect(err).toContain(message);
  });

  test("memory that the system does not give", () => {
    const said: string[] = [];
    const terminal = { json: false, fail: (message: string) => said.push(message) };
    for (const message of [
      "WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory for new instance",
      "WebAssembly.Memory(): could not allocate memory",
    ]) {
      const { signal } = new AbortController();
      expect(reportFailure(new RangeError(message), terminal as never, signal)).toBe(1);
    }
    expect(said).toEqual(
      Array(2).fill(expect.stringContaining("raise its limit, such as that of ulimit -v")),
    );
  });

  test("are JSON with --json", async () => {
    const { err } = await runner.run(["ls", "/nowhere", "--json"]);
    expect(JSON.parse(err).error).toMatchObject({ code: "USAGE", exitCode: 2 });
  });
});

test("doctor says that there is no folder for temporary data", async () => {
  const { out } = await runner.run(["doctor", "--tmp", "not-there"]);
  expect(out).toMatch(/^temporary +not-there: .* free; there is no such directory: make it/m);
});

describe("pipes", () => {
  test("a reader that leaves ends the command quietly", async () => {
    await partd(["append", "s", "x"], { cwd, input: new Uint8Array(20_000_000) });
    const shell = `"${process.execPath}" "${BIN}" get s x | head -c 10 >/dev/null; echo "\${PIPESTATUS[0]}"`;
    const { out, err } = await ended(spawn("bash", ["--norc", "-c", shell], { cwd }));
    expect({ out, err }).toEqual({ out: "0\n", err: "" });
  });

  test("no colours and no bar where nobody looks", async () => {
    await partd(["append", "s", "x"], { cwd, input: "y" });
    for (const words of [
      ["stat", "s"],
      ["get", "s", "x", "-o", "f"],
      ["verify", "s"],
    ]) {
      const { out, err } = await partd(words, { cwd });
      expect(out + err).not.toContain("\u001b");
    }
  });
});

test("starting up loads no store, no codec and no reader", async () => {
  const hooks = "export const load=(u,c,n)=>(process._rawDebug(u),n(u,c))";
  const register = `import{register}from"node:module";register("data:text/javascript,${hooks.replaceAll('"', "'")}")`;
  const words = ["--import", `data:text/javascript,${encodeURIComponent(register)}`, BIN, "--help"];
  const { err } = await ended(spawn(process.execPath, words));
  const loaded = err.split("\n").filter((url) => url.startsWith("file:"));
  expect(loaded.length).toBeGreaterThan(2);
  const foreign = loaded.filter((url) => !/packages\/cli\/|\/commander\//.test(url));
  expect(foreign).toEqual([]);
  expect(loaded.length).toBeLessThan(10);
});

/** Tells of each thread. */
const HOOK = [
  "--import",
  `data:text/javascript,${encodeURIComponent('process.on("worker",()=>process._rawDebug("a thread"))')}`,
];

describe("threads", () => {
  const lines = '{"user":"ann","ms":1}\n{"user":"bob","ms":2}\n'.repeat(400_000); // Some parts of 4 MiB.

  test("read for split, count, distinct and group if they are asked for", async () => {
    writeFileSync(join(cwd, "many.ndjson"), lines);
    const bounded = ["split -o few --partitions 2 --memory 256MB", "distinct --memory 256MB"];
    const unbounded = ["split -o parts --partitions 2", "count", "distinct", "group --sum ms"];
    for (const words of [...unbounded, ...bounded]) {
      const [name, ...options] = words.split(" ") as [string, ...string[]];
      const all = [name, "many.ndjson", "--by", "user", "--threads", "2", ...options];
      const { err } = await ended(spawn(process.execPath, [...HOOK, BIN, ...all], { cwd }));
      expect([name, err]).toEqual([name, expect.stringContaining("a thread")]);
    }
  });

  test("read for a sort of many records, also within --memory, whose error they leave to the command", async () => {
    const line = `{"user":"ann","text":"${"x".repeat(1000)}"}\n`;
    writeFileSync(join(cwd, "more.ndjson"), line.repeat(70_000));
    appendFileSync(join(cwd, "more.ndjson"), '{"user":"eve", oops}\n{"user":"eve"}\n');
    for (const memory of [[], ["--memory", "256MB"]]) {
      const all = ["sort", "more.ndjson", "--by", "user", ...memory];
      const { code, err } = await ended(spawn(process.execPath, [...HOOK, BIN, ...all], { cwd }));
      expect({ code, err }).toEqual({
        code: 1,
        err: expect.stringMatching(
          /^a thread\npartd: more.ndjson:70001:16: the record is not JSON: "\{.*oops\}"\.$/m,
        ),
      });
    }
  });

  test("that find a value that is no number leave it to group to say where", async () => {
    const group = (...words: string[]) =>
      partd(["group", "odd.ndjson", "--by", "user", "--threads", "2", ...words], { cwd });
    writeFileSync(join(cwd, "odd.ndjson"), `${lines}{"user":"eve","ms":"x"}\n`);
    const place = 'odd.ndjson:800001:1: the record has "x" for';
    const summed = await group("--sum", "ms");
    expect(summed).toMatchObject({ code: 1, out: "" });
    expect(summed.err).toContain(`${place} --sum ms, which is not a number`);
    const greatest = await group("--max", "ms");
    expect(greatest).toMatchObject({ code: 1, out: "" });
    expect(greatest.err).toContain(`${place} --max ms, which is text, and one before had a number`);
    writeFileSync(
      join(cwd, "odd.ndjson"),
      lines.replaceAll('"ms":', '"ms":"').replaceAll("}", '"}'),
    );
    expect((await group("--max", "ms")).out).toBe(
      '{"user":"ann","max_ms":"1"}\n{"user":"bob","max_ms":"2"}\n',
    );
  });
});

test("quantities", () => {
  expect(["512MB", "2GiB", "64k", "1000", "1.5 kB"].map(parseBytes)).toEqual([
    512e6,
    2 ** 31,
    64e3,
    1000,
    1500,
  ]);
  expect(["1e9", "1_000_000", "2e3k"].map(parseBytes)).toEqual([1e9, 1e6, 2e6]);
  for (const text of ["", "0", "-1", "1.5.5", "e9", "_", "1i", "9999999TB", "MB"]) {
    expect(() => parseBytes(text)).toThrow("takes a size");
  }
  expect(parseCount("100_000")).toBe(100_000);
  expect([0, 999, 1000, 999_500, 1.5e9, 2e15].map(showBytes)).toEqual([
    "0 B",
    "999 B",
    "1.00 kB",
    "1.00 MB",
    "1.50 GB",
    "2000 TB",
  ]);
  expect([1.25, 59, 61, 3700].map(showSeconds)).toEqual([
    "1.3 s",
    "59 s",
    "1 min 1 s",
    "1 h 1 min",
  ]);
});

test("a line of progress fits the screen", () => {
  const figures = { bytesDone: 5e8, bytesTotal: 1e9, records: 123_456, bytesSpilled: 2e8 };
  for (const width of [40, 80, 120]) {
    expect(barLine("splitting", figures, 10, width).length).toBeLessThanOrEqual(width);
  }
  const line = barLine("splitting", figures, 10, 140);
  for (const part of ["50%", "50.0 MB/s", "123,456 records", "200 MB on disk", "10 s left", "█"]) {
    expect(line).toContain(part);
  }
});
