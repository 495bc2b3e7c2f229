import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test } from "@jest/globals";
import { type Codec, Encode } from "@partd/core";
import { FileStore } from "@partd/file";
import { describeReal, realPart } from "tooling/real-part";
import { directories } from "./program.js";

const { make, clean } = directories();
afterAll(clean);

const TURNS = 5_000;
const KEYS = ["x", "y", "z"];
const python = realPart.python("partd");

/** Python's store, which appends to all keys whenever it gets a line, and says so. */
const PROGRAM = `
import struct, sys
from partd import File
store = File(sys.argv[1])
framed = sys.argv[2] == "framed"
for line in sys.stdin:
    value = line.strip().encode()
    if framed:
        value = struct.pack("<Q", len(value)) + value
    store.append({key: value for key in ${JSON.stringify(KEYS)}})
    print("ok", flush=True)
`;

const text: Codec<string> = {
  name: "text",
  encode: (value) => Buffer.from(value),
  decode: (bytes) => Buffer.from(bytes).toString("latin1"),
  join: (values) => values.join(""),
};

describeReal(python, "Python's partd, in turn", () => {
  test.each(["plain", "framed"])(
    "%s: nothing is lost in 5,000 turns without a pause",
    async (how) => {
      const directory = make();
      const kid = spawn(python.command as string, ["-c", PROGRAM, directory, how], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const answers = createInterface({ input: kid.stdout });
      const store = new FileStore(directory);
      const strings = new Encode(store, text);
      const wanted: string[] = [];
      try {
        for (let turn = 0; turn < TURNS; turn++) {
          const [ours, theirs] = [`T${turn};`, `P${turn};`];
          const batch = KEYS.map(
            (key) => [key, how === "framed" ? ours : Buffer.from(ours)] as const,
          );
          if (how === "framed") await strings.append(batch as [string, string][]);
          else await store.append(batch as [string, Buffer][]);
          const answer = once(answers, "line");
          kid.stdin.write(`${theirs}\n`);
          await answer;
          wanted.push(ours, theirs);
          if (turn % 500) continue;
          const value = how === "framed" ? await strings.get("y") : await store.get("y");
          expect(value.length).toBe(wanted.join("").length);
        }
        for (const key of KEYS) {
          const value =
            how === "framed"
              ? await strings.get(key)
              : Buffer.from(await store.get(key)).toString("latin1");
          expect(value === wanted.join("")).toBe(true);
        }
      } finally {
        kid.stdin.end();
        await strings.close();
      }
      expect(readFileSync(join(directory, "x")).length).toBeGreaterThan(TURNS);
    },
  );
});

test("a value that another program made longer, shorter or anew is read as it is", async () => {
  const { appendFileSync, rmSync, truncateSync, writeFileSync } = await import("node:fs");
  const directory = make();
  await using store = new FileStore(directory);
  const path = join(directory, "x");
  const large = "x".repeat(100_000);
  for (let turn = 0; turn < 50; turn++) {
    await store.append({ x: Buffer.from(large) });
    appendFileSync(path, "P");
    expect((await store.get("x")).length).toBe(100_001);
    truncateSync(path, 3);
    expect((await store.get("x")).length).toBe(3);
    rmSync(path);
    expect((await store.get("x")).length).toBe(0);
    writeFileSync(path, "anew");
    await store.append({ x: Buffer.from("!") });
    expect(Buffer.from(await store.get("x")).toString()).toBe("anew!");
    await store.delete("x");
  }
});
