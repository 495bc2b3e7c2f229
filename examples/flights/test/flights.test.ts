import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "@jest/globals";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const run = promisify(execFile);

let folder = "";
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-flights-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function flights(...args: string[]): Promise<string> {
  return (await run(process.execPath, [main, ...args], { cwd: folder })).stdout;
}

test("three million flights, more than its memory holds, by airport", async () => {
  const figures = JSON.parse(await flights("--json", "--top", "2"));
  expect(figures).toMatchObject({ records: 3_000_000, groups: 229 });
  expect(figures.bytesSpilled).toBeGreaterThan(200e6);
  // Counted by another program.
  const [first, second] = figures.largest;
  expect([first.key, first.records, first.mean.toFixed(1)]).toEqual(["ORD", 166_341, "9.3"]);
  expect([second.key, second.records, second.mean.toFixed(1)]).toEqual(["DFW", 157_162, "7.7"]);
});

const table = "user  records  mean ms\nann         2     21.0\nbob         1      7.5\n";

test("a file of one's own, whatever its format", async () => {
  const records = [
    { user: "ann", ms: 12 },
    { user: "bob", ms: 7.5 },
    { user: "ann", ms: 30 },
  ];
  const lines = `${records.map((record) => JSON.stringify(record)).join("\n")}\n`;
  const rows = (delimiter: string) =>
    `${[["user", "ms"], ...records.map(({ user, ms }) => [user, ms])].map((row) => row.join(delimiter)).join("\n")}\n`;
  const files: readonly (readonly [string, string | Uint8Array])[] = [
    ["events.ndjson", lines],
    ["events.jsonl.gz", gzipSync(lines)],
    ["events.json", JSON.stringify(records)],
    ["events.csv", rows(",")],
    ["events.tsv", rows("\t")],
  ];
  for (const [name, content] of files) {
    await writeFile(at(name), content);
    const found = await flights(at(name), "--by", "user", "--mean", "ms");
    expect(found.slice(0, found.indexOf("\n\n") + 1)).toBe(table);
    expect(found).toContain("3 records into 2 groups");
    expect(found).toContain("disk     not used");
  }
});

test("a path is one in the folder from which npm was called", async () => {
  await writeFile(at("here.ndjson"), '{"user":"ann","at":"Bonn"}\n');
  const env = { ...process.env, INIT_CWD: folder };
  const words = [main, "here.ndjson", "--by", "user", "--by", "at"];
  const { stdout } = await run(process.execPath, words, { cwd: tmpdir(), env });
  expect(stdout).toContain("user,at   records\nann,Bonn        1\n");
});

test("says what it can do, and what is wrong with the command line", async () => {
  expect(await flights("--help")).toContain("Usage: npm start");
  await writeFile(at("thesis.txt"), "mine");
  await writeFile(at("broken.ndjson"), '{"user":"ann"}\n{"user"');
  for (const [args, message] of [
    [[at("events.ndjson")], /Name the field to group by, as in: npm start -- .* --by user/],
    [[at("thesis.txt"), "--by", "user"], /should end in .ndjson/],
    [[at("none.ndjson"), "--by", "user"], /none.ndjson/],
    [[at("broken.ndjson"), "--by", "user"], /broken.ndjson:2:/],
    [["--memory", "0"], /--memory takes a whole number/],
    [["--fligths", "5"], /fligths/],
  ] as const) {
    await expect(flights(...args)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(message),
    });
  }
});

test("Ctrl-C ends it, and its temporary file is gone", async () => {
  const parent = await mkdtemp(join(folder, "temporary-"));
  const watcher = watch(parent);
  const made = once(watcher, "change");
  try {
    const child = spawn(process.execPath, [main, "--memory", "8"], {
      env: { ...process.env, TMPDIR: parent },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const exit = once(child, "exit");
    let told = "";
    child.stderr.on("data", (text) => {
      told += text;
    });
    await made;
    child.kill("SIGINT");
    expect(await exit).toEqual([130, null]);
    expect(told).toContain("flights: stopped; nothing is left behind");
    expect(await readdir(parent)).toEqual([]);
  } finally {
    watcher.close();
  }
});
