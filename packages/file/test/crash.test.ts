import { cpSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { encodeKey, type Key, tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import { directories, program } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

type Contents = { readonly [encodedKey: string]: string };
const long = "k".repeat(300);
const before: Contents = {
  old: "old",
  other: "other",
  "deep/er/old": "deep",
  [long]: "aside",
};
const without = (...keys: string[]) =>
  Object.fromEntries(Object.entries(before).filter(([key]) => !keys.includes(key)));

/** Each operation of programs/crash.mjs, and what is there when it is done. */
const operations: readonly (readonly [name: string, after: Contents])[] = [
  [
    "append",
    {
      ...before,
      old: "old+more+",
      "folder/new": "new",
      [long]: "aside+more+",
      [`${long}2`]: "new",
      folder: "new",
      new: "new",
    },
  ],
  ["set", { ...before, old: "set" }],
  ["setNew", { ...before, "folder/new": "set" }],
  ["setAside", { ...before, [long]: "set" }],
  ["delete", without("old", "deep/er/old", long)],
  ["pop", without("old")],
  ["drop", {}],
];

async function contents(store: FileStore): Promise<Contents> {
  const found: { [key: string]: string } = {};
  for await (const key of store.keys()) found[encodeKey(key)] = text(await store.get(key));
  return found;
}

async function prepared(): Promise<string> {
  const directory = join(make(), "data");
  await using store = new FileStore(directory);
  const entries: (readonly [Key, string])[] = [
    ["old", "old"],
    ["other", "other"],
    [tuple("deep", "er", "old"), "deep"],
    [long, "aside"],
  ];
  await store.append(entries.map(([key, value]) => [key, bytes(value)] as const));
  return directory;
}

/** After a crash: all or nothing, at once, and with nothing left over. */
async function checkAfter(directory: string, after: Contents, where: string): Promise<boolean> {
  await using store = new FileStore(directory, { staleMs: 600_000 });
  const found = await contents(store);
  const whole = JSON.stringify(sorted(found)) === JSON.stringify(sorted(after));
  expect([where, sorted(whole ? after : before)]).toEqual([where, sorted(found)]);
  for (const key of ["old", "new", long]) await store.append({ [key]: bytes("!") });
  for (const key of ["old", "new", long]) {
    expect(text(await store.get(key))).toBe(`${found[key] ?? ""}!`);
  }
  return whole;
}

const sorted = (found: Contents) =>
  Object.entries(found).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

interface Crashed {
  /** What was next when it was killed; none if the operation was done before. */
  readonly call: string | undefined;
  readonly directory: string;
}

/** Runs the operation on a copy of `start`, to be killed at the call of that number. */
async function crash(
  start: string,
  operation: string,
  number: number,
  how: "before" | "torn",
): Promise<Crashed> {
  const directory = join(make(), "data");
  cpSync(start, directory, { recursive: true });
  const process = program("crash", directory, operation, number, how);
  const { code, signal } = await process.ended;
  if (code === 0 && process.lines.includes("done")) return { call: undefined, directory };
  if (signal !== "SIGKILL") throw new Error(process.output);
  return { call: process.lines[0], directory };
}

/** Kills the operation at each of its calls, a few at a time, and checks after each. */
async function crashEverywhere(
  start: string,
  operation: string,
  check: (crashed: Crashed, where: string) => Promise<void>,
): Promise<void> {
  let number = 0;
  let done = false;
  const worker = async () => {
    while (!done) {
      const mine = ++number;
      const crashed = await crash(start, operation, mine, "before");
      if (crashed.call === undefined) done = true;
      await check(crashed, `${operation}, call ${mine}: ${crashed.call ?? "done"}`);
      if (crashed.call !== "writeSync") continue;
      await check(await crash(start, operation, mine, "torn"), `${operation}, call ${mine}: torn`);
    }
  };
  await Promise.all([worker(), worker(), worker()]);
}

test.each(operations)(
  "%s, killed at each of its calls, is done whole or not at all",
  async (operation, after) => {
    const outcomes = { before: 0, after: 0 };
    await crashEverywhere(await prepared(), operation, async ({ call, directory }, where) => {
      const whole = await checkAfter(directory, after, where);
      if (call === undefined) expect(whole).toBe(true);
      else outcomes[whole ? "after" : "before"]++;
    });
    expect(outcomes.before).toBeGreaterThan(0);
  },
);

test("a recovery that is killed at each of its calls is completed by the next", async () => {
  for (const [operation, after] of operations.filter(([name]) => /append|delete|drop/.test(name))) {
    // Killed at the very end of a change: at the write that crosses its note out.
    const start = await prepared();
    const undisturbed = program("crash", await prepared(), operation, 1e9, "before");
    const calls = (await undisturbed.line("")).split(" ");
    await undisturbed.end();
    const last = await crash(start, operation, calls.lastIndexOf("writeSync") + 1, "before");
    expect(last.call).toBe("writeSync");
    await crashEverywhere(last.directory, "get", ({ directory }, where) =>
      checkAfter(directory, after, `${operation}, then ${where}`).then(() => {}),
    );
  }
});
