import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readJson } from "@partd/records";
import fc from "fast-check";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-records-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function itemsOf(...pieces: readonly Uint8Array[]): Promise<unknown> {
  const items: unknown[] = [];
  try {
    for await (const item of readJson(pieces)) items.push(item);
  } catch {
    return "no";
  }
  return items;
}

/** What `JSON.parse` says, which has to be an array. */
function oracle(bytes: Uint8Array): unknown {
  try {
    const whole = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return Array.isArray(whole) ? whole : "no";
  } catch {
    return "no";
  }
}

const token = fc.constantFrom(
  ...[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\n",
    " ",
    '"',
    "\\",
    '"a\\""',
    '"]"',
    "1",
    "null",
    "[1,2]",
    "é",
  ],
);

test("items are those that JSON.parse gives, however the text is laid out, damaged and cut", async () => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 5 }),
      fc.constantFrom(undefined, 1, "\t"),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(2), token), {
        maxLength: 2,
      }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (value, indent, faults, cutAt) => {
        let text = JSON.stringify(value, undefined, indent);
        for (const [at, cut, put] of faults) {
          const from = Math.floor(at * text.length);
          text = text.slice(0, from) + put + text.slice(from + cut);
        }
        const bytes = Buffer.from(text);
        const expected = oracle(bytes);
        if (expected !== "no") accepted++;
        const cut = Math.floor(cutAt * bytes.length);
        const found = await itemsOf(Buffer.from(bytes.subarray(0, cut)), bytes.subarray(cut));
        expect(found).toEqual(expected);
      },
    ),
    { numRuns: Number(process.env["PARTD_FUZZ_RUNS"] ?? 200) * 10 },
  );
  expect(accepted).toBeGreaterThan(100);
});

test("cut at every byte, with a byte order mark", async () => {
  const bytes = Buffer.from('\ufeff \n[ {"a": "]\\"\\\\"} ,\n [1,\n2], "", 3 ]\n ');
  for (let cut = 0; cut <= bytes.length; cut++) {
    const items = await itemsOf(Buffer.from(bytes.subarray(0, cut)), bytes.subarray(cut));
    expect(items).toEqual([{ a: ']"\\' }, [1, 2], "", 3]);
  }
});

test.each([
  ['[\n {"a":1},\n {"a":tru}\n]\n', 3, 10],
  ["[\n 1,\n ,2]", 3, 2],
  ["[1,\n2", 2, 2],
  ['{"a":1}', 1, 1],
  ["[1]\n x", 2, 2],
  ["[1 2]", 1, 4],
  ['[{}\n""]', 2, 1],
])("%j is an error at its place in the file", async (text, line, column) => {
  const path = join(folder, "bad.json");
  await writeFile(path, text);
  const all = async () => {
    for await (const _ of readJson(path));
  };
  await expect(all()).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path, line, column });
});
