import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { tuple } from "@partd/core";
import { FileStore } from "@partd/file";
import { describeReal, realPart } from "tooling/real-part";
import { inPython } from "./compressions.js";
import { realData } from "./data.js";

const python = realPart.python("partd", "snappy", "blosc");

describeReal(python, "Python's partd over File", () => {
  const data = realData();
  let folder = "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "partd-compress-"));
    for (const [name, bytes] of Object.entries(data)) await writeFile(join(folder, name), bytes);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const run = (code: string, ...words: string[]) =>
    promisify(execFile)(python.command as string, ["-c", code, folder, ...words]);

  test.each(inPython)(
    "$name writes what Python reads: several appends and a tuple",
    async ({ python: name, Decorator }) => {
      const p = new Decorator(new FileStore(join(folder, `ours-${name}`)));
      for (const [key, bytes] of Object.entries(data)) {
        await p.append([
          [key, bytes],
          [tuple("all", 1), bytes],
        ]);
        await p.append({ [key]: bytes.subarray(0, 1000) });
      }
      await p.append({ none: new Uint8Array() });
      await p.close();
      await run(READ, name as string);
    },
  );

  test.each(inPython)("$name reads what Python wrote", async ({ python: name, Decorator }) => {
    await run(WRITE, name as string);
    const p = new Decorator(new FileStore(join(folder, `theirs-${name}`)));
    for (const [key, bytes] of Object.entries(data)) {
      const expected = Buffer.concat([bytes, bytes.subarray(0, 1000)]);
      expect(Buffer.compare(await p.get(key), expected)).toBe(0);
    }
    const all = Buffer.concat(Object.values(data));
    expect(Buffer.compare(await p.get(tuple("all", 1)), all)).toBe(0);
    expect((await p.get("none")).byteLength).toBe(0);
    await p.close();
  });
});

const HEAD = `
import os, sys, partd
folder, name = sys.argv[1:]
data = {key: open(os.path.join(folder, key), "rb").read() for key in ["text", "json", "float64"]}
def opened(whose):
    return getattr(partd, name)(partd.File(os.path.join(folder, whose + "-" + name)))
`;

const READ = `${HEAD}
p = opened("ours")
for key, value in data.items():
    assert p.get(key) == value + value[:1000], key
assert p.get(("all", "1")) == b"".join(data.values())
assert p.get("none") == b""
`;

const WRITE = `${HEAD}
p = opened("theirs")
for key, value in data.items():
    p.append({key: value, ("all", "1"): value})
    p.append({key: value[:1000]})
p.append({"none": b""})
`;
