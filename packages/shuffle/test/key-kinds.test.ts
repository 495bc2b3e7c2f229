import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readCsv, readNdjson } from "@partd/records";
import { join, type Source } from "@partd/shuffle";
import fc from "fast-check";
import { LITTLE } from "./workload.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-key-kinds-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Row = { [name: string]: unknown };
const text = (rows: readonly Row[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const lines = (rows: readonly Row[]) => readNdjson<Row>([Buffer.from(text(rows))]);
function file(name: string, rows: readonly Row[]) {
  writeFileSync(joinPath(dir, name), text(rows));
  return readNdjson<Row>(joinPath(dir, name));
}

/** What a join by some keys gives, as pairs or as lines. */
async function joined(left: Source<Row>, right: Source<Row>, options: object = {}) {
  const kind = "full" as const;
  return await join<Row, Row, "full">(left, right, { by: "k", kind, ...options }).toArray();
}

const kindOf = (key: unknown) => {
  if (Array.isArray(key)) return "list";
  return key === null ? "undefined" : typeof key;
};

test("a join is refused if and only if no kind of key is on both sides", async () => {
  const key = fc.constantFrom(null, undefined, 1, 0.5, -3, "1", 'a,]"\\', "", true, [1], ["x"], 5n);
  const keys = fc.array(fc.tuple(key, key), { minLength: 1, maxLength: 4 });
  const sides = fc.asyncProperty(keys, keys, fc.boolean(), async (left, right, hasTwo) => {
    const rows = (side: typeof left) => side.map(([k, second]) => ({ k, second, third: [k] }));
    const by = hasTwo ? ["k", "second"] : ["k"];
    const kinds = (side: typeof left, i: number) =>
      side.map((keys) => kindOf(keys[i])).filter((kind) => kind !== "undefined");
    const apart = by.some((_, i) => {
      const [ours, theirs] = [kinds(left, i), kinds(right, i)];
      return ours.length > 0 && theirs.length > 0 && !ours.some((kind) => theirs.includes(kind));
    });
    // A field that no record has is another error.
    const lacks = by.some((_, i) =>
      [left, right].some((side) => side.every((keys) => keys[i] === undefined)),
    );
    fc.pre(!lacks);
    const run = joined(rows(left), rows(right), { by });
    if (apart) await expect(run).rejects.toThrow("No records can match");
    else await run;
  });
  await fc.assert(sides, { numRuns: 300 });
});

test("text and numbers, bigints and numbers: of readers, in memory, spilled, and by threads", async () => {
  const numbers = Array.from({ length: 3000 }, (_, k) => ({ k, pad: "x".repeat(200) }));
  const texts = numbers.map((row) => ({ ...row, k: String(row.k) }));
  const bigints = numbers.map((row) => ({ ...row, k: BigInt(row.k) }));
  const csv = `k\n${numbers.map(({ k }) => `${k}\n`).join("")}`;
  const refused = {
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining("No records can match"),
  };
  for (const other of [texts, bigints, lines(texts), readCsv<Row>([Buffer.from(csv)])]) {
    await expect(joined(numbers, other, { memory: LITTLE })).rejects.toMatchObject(refused);
  }
  const pair = [file("numbers", numbers), file("texts", texts)] as const;
  for (const kind of ["inner", "left", "semi", "anti"] as const) {
    const bytes = join(...pair, { by: "k", kind, threads: 2 }).bytes();
    await expect(async () => {
      for await (const _ of bytes);
    }).rejects.toMatchObject(refused);
  }
  await expect(joined(numbers, texts)).rejects.toThrow(
    'No records can match: "k" holds numbers on the left, "k" text on the right.',
  );
  // Who says the key by a function means it.
  expect((await joined(numbers, texts, { rightBy: ({ k }: Row) => Number(k) })).length).toBe(3000);
  expect((await joined(numbers, texts, { rightBy: ({ k }: Row) => k })).length).toBe(6000);
});

test("integers of a JSON file are one kind, however large, and the kinds may differ at first", async () => {
  const small = lines([{ k: 1 }, { k: 2 }]);
  const large = readNdjson<Row>([
    Buffer.from('{"k":9007199254740993}\n{"k":-12345678901234567890}\n'),
  ]);
  expect((await joined(small, large)).length).toBe(4);
  const late = [...Array.from({ length: 20_000 }, (_, k) => ({ k: `x${k}` })), { k: 7 }];
  const sources = [file("late", late), file("seven", [{ k: 7 }])] as const;
  const found: string[] = [];
  for await (const piece of join(...sources, { by: "k", threads: 2 }).bytes()) {
    found.push(Buffer.from(piece).toString());
  }
  expect(found.join("")).toBe('[{"k":7},{"k":7}]\n');
});

test("as many fields on both sides", () => {
  expect(() => join([{ a: 1 }], [{ a: 1 }], { by: ["a", "b"], rightBy: "a" })).toThrow(
    "A key on the left has 2 fields (by), and one on the right 1 (rightBy)",
  );
});
