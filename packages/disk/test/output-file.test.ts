import { spawnSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "@jest/globals";
import { OutputFile } from "@partd/disk";

const entry = new URL("../dist/index.js", import.meta.url).href;
const root = mkdtempSync(join(tmpdir(), "partd-output-"));
afterAll(() => rmSync(root, { recursive: true }));

let folder = "";
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
});

const at = (name: string) => join(folder, name);
const text = (name: string) => readFileSync(at(name), "utf8");

async function write(name: string, bytes: string): Promise<void> {
  await using file = await OutputFile.create(at(name));
  await file.write(bytes);
  await file.complete();
}

test("a file has its name when it is complete, and what was there is read until then", async () => {
  writeFileSync(at("out"), "before");
  const file = await OutputFile.create(at("out"));
  await file.write("after".repeat(100_000));
  expect(text("out")).toBe("before");
  await file.complete();
  expect(text("out")).toBe("after".repeat(100_000));
  expect(readdirSync(folder)).toEqual(["out"]);
});

test("what is given up leaves nothing, and what was there as it was", async () => {
  writeFileSync(at("old"), "before");
  for (const name of ["old", "new"]) {
    await using file = await OutputFile.create(at(name));
    await file.write("half");
  }
  expect(readdirSync(folder)).toEqual(["old"]);
  expect(text("old")).toBe("before");
});

test("a file keeps its permissions, and a link its target, there or not", async () => {
  writeFileSync(at("target"), "before");
  chmodSync(at("target"), 0o646);
  symlinkSync("target", at("link"));
  symlinkSync("later", at("dangling"));
  await write("link", "after");
  await write("dangling", "made");
  expect(text("target")).toBe("after");
  expect(statSync(at("target")).mode & 0o777).toBe(0o646);
  expect(readlinkSync(at("link"))).toBe("target");
  expect(text("later")).toBe("made");
  expect(lstatSync(at("dangling")).isSymbolicLink()).toBe(true);
});

test("a pipe and standard output are written directly, behind what is there", async () => {
  expect(spawnSync("mkfifo", [at("pipe")]).status).toBe(0);
  const program = `
    import { OutputFile } from ${JSON.stringify(entry)};
    for (const path of process.argv.slice(2)) {
      const file = await OutputFile.create(path);
      await file.write("bytes of it\\n");
      await file.complete();
    }`;
  writeFileSync(at("write.mjs"), program);
  const shell =
    'cat pipe > piped & echo before > out; "$NODE" write.mjs pipe /dev/stdout >> out; wait';
  const env = { ...process.env, NODE: process.execPath };
  const { stderr } = spawnSync("sh", ["-c", shell], {
    cwd: folder,
    encoding: "utf8",
    env,
    timeout: 200_000,
  });
  expect(stderr).toBe("");
  expect(text("piped")).toBe("bytes of it\n");
  expect(text("out")).toBe("before\nbytes of it\n");
  expect(lstatSync(at("pipe")).isFIFO()).toBe(true);
});

test("what a killed process has left goes with the next, and not what a live one writes", async () => {
  await using other = await OutputFile.create(at("out"));
  const program = `
    import { OutputFile } from ${JSON.stringify(entry)};
    await OutputFile.create(${JSON.stringify(at("out"))});
    process.kill(process.pid, "SIGKILL");`;
  const killed = spawnSync(process.execPath, ["--input-type=module", "--eval", program]);
  expect(killed.signal).toBe("SIGKILL");
  expect(readdirSync(folder)).toHaveLength(2);
  await write("out", "whole");
  expect(readdirSync(folder)).toHaveLength(2);
  await other.write("the last that is complete stays");
  await other.complete();
  expect(readdirSync(folder)).toEqual(["out"]);
  expect(text("out")).toBe("the last that is complete stays");
});

test("a directory and a missing one are refused, and what accept refuses", async () => {
  await expect(OutputFile.create(folder)).rejects.toMatchObject({ code: "EISDIR" });
  await expect(OutputFile.create(at("none/out"))).rejects.toMatchObject({ code: "ENOENT" });
  const asked: string[] = [];
  const accept = (path: string) => {
    asked.push(path);
    if (asked.length > 1) throw new Error("taken meanwhile");
  };
  {
    await using file = await OutputFile.create(at("out"), { accept });
    await expect(file.complete()).rejects.toThrow("taken meanwhile");
  }
  expect(asked).toEqual([at("out"), at("out")]);
  expect(readdirSync(folder)).toEqual([]);
});

test("a file that is protected from writing is not replaced", () => {
  writeFileSync(at("out"), "before");
  chmodSync(at("out"), 0o444);
  const program = `
    import { OutputFile } from ${JSON.stringify(entry)};
    await OutputFile.create(${JSON.stringify(at("out"))}).catch((error) => console.log(error.message));`;
  const node = [process.execPath, "--input-type=module", "--eval", program];
  // Root may write anything unless it gives that up.
  const root = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
  const [command, ...args] = process.getuid?.() === 0 ? [...root, ...node] : node;
  const { stdout } = spawnSync(command as string, args, { encoding: "utf8" });
  expect(stdout).toBe(`EACCES: permission denied, open '${at("out")}'\n`);
  expect(readdirSync(folder)).toEqual(["out"]);
});
