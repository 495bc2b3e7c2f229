import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { directories, limitedProgram, program } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

const bytes = (text: string) => new TextEncoder().encode(text);

test("a temporary store lives under the system's temporary directory, and goes with close", async () => {
  const store = new FileStore();
  expect(dirname(store.path)).toBe(tmpdir());
  expect(existsSync(store.path)).toBe(false); // Nothing happens before the first operation.
  await store.append({ x: bytes("1") });
  expect(statSync(store.path).mode & 0o777).toBe(0o700);
  await using another = new FileStore(store.path);
  expect(await another.get("x")).toEqual(bytes("1")); // Its path can be told to others.
  await another.close();
  await store.close();
  expect(existsSync(store.path)).toBe(false);
});

test("two temporary stores are two", async () => {
  await using one = new FileStore();
  await using other = new FileStore();
  await one.append({ x: bytes("1") });
  expect((await other.get("x")).byteLength).toBe(0);
});

test.each([
  ["end", 0],
  ["exit", 0],
  ["throw", 1],
])("it goes with its process: %s", async (how, status) => {
  const temporary = program("temporary", how);
  const path = await temporary.line("/");
  expect((await temporary.ended).code).toBe(status);
  expect(existsSync(path)).toBe(false);
});

test("after SIGKILL it goes with the next temporary store; that of a live process stays", async () => {
  // Not where other tests make temporary stores, too.
  const directory = make();
  const run = (how: string) => limitedProgram(`export TMPDIR=${directory}`, "temporary", how);
  const killed = run("stay");
  const alive = run("stay");
  const [killedPath, alivePath] = [await killed.line("/"), await alive.line("/")];
  await killed.kill();
  // Of another machine, as far as anyone knows.
  const foreign = join(directory, "partd-file-1-1-1-01234567-0123456789ab");
  mkdirSync(foreign);
  expect(readdirSync(directory)).toHaveLength(3);
  await run("end").end();
  expect(existsSync(killedPath)).toBe(false);
  expect(
    readdirSync(directory)
      .map((name) => join(directory, name))
      .sort(),
  ).toEqual([alivePath, foreign].sort());
  await alive.kill();
});
