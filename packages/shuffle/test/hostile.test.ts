import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { DEEPEST_LIST, encodeGroupKey, readNdjson } from "@partd/records";
import { countBy, join, sort } from "@partd/shuffle";
import { chainGroups } from "../src/group/chain-groups.js";
import { GroupKeyer } from "../src/source/group-keyer.js";
import { inputOf } from "../src/source/input.js";
import { TemporaryFile } from "../src/spill/temporary-file.js";
import { Workspace } from "../src/spill/workspace.js";
import { LITTLE } from "./workload.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-hostile-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("hostile input", () => {
  test.each([
    ["in memory", 10e6],
    ["out of memory", 60_000],
  ])("keys of one hash are still apart, %s", async (_where, memory) => {
    const workspace = new Workspace(memory, new TemporaryFile(dir));
    const chain = workspace.chain();
    const expected = new Map<string, number[]>();
    for (let i = 0; i < 4000; i++) {
      const name = `key-${(i * 31) % 300}`;
      const key = encodeGroupKey(name);
      const record = Buffer.from(`{"i":${i},"pad":"${"x".repeat(40)}"}\n`);
      const waiting = workspace.reserve(2);
      if (waiting) await waiting;
      chain.append(key, 0, key.length, record, 0, record.length, 7, 7);
      if (!expected.has(name)) expected.set(name, []);
      expected.get(name)?.push(i);
    }
    const codec = inputOf<{ i: number }>([], new GroupKeyer("i"));
    for await (const groups of chainGroups<string, { i: number }>(workspace, chain, codec, 1)) {
      for (const group of groups) {
        const read = group.key === "key-3" ? group.toArray() : undefined;
        if (read) expect((await read).map(({ i }) => i)).toEqual(expected.get("key-3"));
        else if (group.key !== "key-4") {
          const numbers = (await group.toArray()).map(({ i }) => i);
          expect(numbers).toEqual(expected.get(group.key));
        }
        expected.delete(group.key);
      }
    }
    expect(expected.size).toBe(0);
    await workspace.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("a join on one key, both sides larger than memory", async () => {
    const right = Array.from({ length: 9000 }, (_, i) => ({ key: 1, i, pad: "x".repeat(100) }));
    const left = [
      ...Array.from({ length: 20 }, (_, i) => ({ key: 1, i, pad: "x".repeat(60_000) })),
      { key: 2, i: 20, pad: "" },
    ];
    const seen = new Map<number, Set<number>>();
    let alone = 0;
    const pairs = join(left, right, { by: "key", kind: "full", memory: LITTLE, dir });
    for await (const [l, r] of pairs) {
      if (!l || !r) {
        alone++;
        expect(l?.i).toBe(20);
        continue;
      }
      if (!seen.has(l.i)) seen.set(l.i, new Set());
      seen.get(l.i)?.add(r.i);
    }
    expect(alone).toBe(1);
    expect([...seen.values()].map(({ size }) => size)).toEqual(Array(20).fill(9000));
    const semi = await join(left, right, {
      by: "key",
      kind: "semi",
      memory: LITTLE,
      dir,
    }).toArray();
    expect(semi.map(({ i }) => i)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(readdirSync(dir)).toEqual([]);
  });

  test("a file that cannot grow is named, and what was spilled is gone", () => {
    const program = fileURLToPath(new URL("resident.mjs", import.meta.url));
    const args = [process.execPath, program, "sort", "60000", "1e6", dir];
    // As a full disk does, but without one: no file may have more than 1 MiB.
    const limited = ["--norc", "-c", 'ulimit -f 1024; trap "" XFSZ; exec "$@"', "bash", ...args];
    const { stderr, status } = spawnSync("bash", limited, { encoding: "utf8" });
    expect(status).not.toBe(0);
    expect(stderr).toContain("ERR_PARTD_IO");
    expect(stderr).toContain(`Cannot spill to ${dir}`);
    expect(readdirSync(dir)).toEqual([]);
  });

  test("lists in lists are keys to a depth, and an error beyond it", async () => {
    const text = (depth: number, inner: string) =>
      `${"[".repeat(depth)}${inner}${"]".repeat(depth)}`;
    const refused = { code: "ERR_PARTD_KEY", message: expect.stringContaining("100 deep") };
    // One number stays a number, and the other becomes a bigint: two encodings of a list.
    for (const inner of ["1", "12345678901234567890"]) {
      const lines = (depth: number) => readNdjson([Buffer.from(`{"k":${text(depth, inner)}}\n`)]);
      for (const depth of [DEEPEST_LIST + 1, 200_000]) {
        await expect(countBy(lines(depth), { by: "k" }).toArray()).rejects.toMatchObject(refused);
        await expect(sort(lines(depth), { by: "k" }).toArray()).rejects.toMatchObject(refused);
      }
      const [[key, n] = []] = await countBy(lines(DEEPEST_LIST), { by: "k" }).toArray();
      expect([(key as unknown[]).flat(Number.POSITIVE_INFINITY).map(String), n]).toEqual([
        [inner],
        1,
      ]);
      expect(await sort(lines(DEEPEST_LIST), { by: "k" }).toArray()).toHaveLength(1);
    }
    const itself: unknown[] = [];
    itself.push(itself);
    for (const k of [
      JSON.parse(text(5000, "1")),
      JSON.parse(text(DEEPEST_LIST + 1, "1")),
      itself,
    ]) {
      await expect(countBy([{ k }], { by: "k" }).toArray()).rejects.toMatchObject(refused);
    }
    for (const k of [JSON.parse(text(DEEPEST_LIST + 1, "1")), itself]) {
      await expect(sort([{ k }], { by: "k" }).toArray()).rejects.toMatchObject(refused);
    }
    expect(
      await countBy([{ k: JSON.parse(text(DEEPEST_LIST, "1")) }], { by: "k" }).toArray(),
    ).toHaveLength(1);
  });
});
