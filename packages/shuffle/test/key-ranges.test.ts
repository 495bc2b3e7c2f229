import { execFileSync } from "node:child_process";
import { describe, expect, test } from "@jest/globals";
import { readNdjson } from "@partd/records";
import { sort } from "@partd/shuffle";
import { LITTLE } from "./workload.js";

// Records in memory are divided by ranges of their keys, which the first batch tells.

interface Row {
  readonly i: number;
  readonly first: unknown;
  readonly second: unknown;
}

const COUNT = 4000;
const shuffled = (i: number) => (i * 7919) % COUNT;
const keys: Readonly<Record<string, (i: number) => unknown>> = {
  "numbers at random": shuffled,
  "few numbers": (i) => shuffled(i) % 7,
  "one number": () => 5,
  "numbers in order": (i) => i,
  "numbers in reverse": (i) => -i,
  // Each batch has about 1,000 records.
  "batches unlike the first": (i) => (i < 1500 ? i % 3 : shuffled(i)),
  "numbers that differ after 53 bits": (i) => 2 ** 53 - 1 - (i % 5),
  texts: (i) => `k${shuffled(i)}`,
  "texts with escapes": (i) => `${'é\n\\"\t'[i % 5]}${i % 3 ? "\u0000" : "\u0001"}${shuffled(i)}`,
  "texts that begin alike": (i) => `a long beginning ${shuffled(i)}`,
  "two fields": (i) => [`k${shuffled(i) % 50}`, i % 2 ? null : shuffled(i)],
};
const few = (pad: (i: number) => string) => (i: number) => (i % 1300 === 700 ? pad(i) : "");
const pads: Readonly<Record<string, (i: number) => string>> = {
  short: (i) => "p".repeat(150 + (i % 60)),
  "some long": few((i) => "p".repeat(300_000 + i)),
  "some longer than what is grouped at a time": few((i) => "p".repeat(1_200_000 + i)),
};

function compare(left: unknown, right: unknown): number {
  if (Array.isArray(left)) {
    const [a, b] = [left, right as unknown[]];
    return compare(a[0], b[0]) || compare(a[1], b[1]);
  }
  if (left === null || right === null) return Number(left === null) - Number(right === null);
  if (typeof left === "string") return Buffer.compare(Buffer.from(left), Buffer.from(`${right}`));
  return Number(left) - Number(right);
}

describe.each(Object.keys(pads))("records of which the others are %s", (pad) => {
  test.each(Object.keys(keys))(
    "%s: in memory and spilled, as bytes and as records",
    async (name) => {
      const rows = Array.from({ length: COUNT }, (_, i) => {
        const key = keys[name]!(i);
        const [first, second] = Array.isArray(key) ? key : [key];
        return { key, i, first, second, pad: pads[pad]!(i) };
      });
      const lines = rows.map(({ key: _, ...row }) => `${JSON.stringify(row)}\n`);
      const order = rows.map((_, i) => i).sort((a, b) => compare(rows[a]!.key, rows[b]!.key));
      const by = name === "two fields" ? ["first", "second"] : "first";
      const source = () => readNdjson<Row>([Buffer.from(lines.join(""))]);
      for (const memory of [64e6, pad === "short" ? LITTLE : 20e6]) {
        const bytes = Buffer.concat(await bytesOf(sort<Row>(source(), { by, memory }).bytes()));
        // Not `toEqual`, which would print megabytes.
        expect(bytes.equals(Buffer.from(order.map((i) => lines[i]).join("")))).toBe(true);
        const records = await sort<Row>(source(), { by, memory }).toArray();
        expect(records.map(({ i }) => i).join()).toBe(order.join());
      }
    },
  );
});

test("a batch of more records than are grouped at a time", async () => {
  const digits = Array.from({ length: 150_000 }, (_, i) => (i * 7919) % 10);
  const source = readNdjson([Buffer.from(digits.map((digit) => `{"k":${digit}}\n`).join(""))]);
  const bytes = Buffer.concat(await bytesOf(sort(source, { by: "k", memory: 64e6 }).bytes()));
  const expected = digits.sort((a, b) => a - b).map((digit) => `{"k":${digit}}\n`);
  expect(bytes.toString() === expected.join("")).toBe(true);
});

test("without WebAssembly the order is the same", () => {
  const program = `
    import { readNdjson } from "@partd/records";
    import { sort } from "@partd/shuffle";
    if (typeof WebAssembly !== "undefined") throw new Error("there is WebAssembly");
    const lines = Array.from({ length: ${COUNT} }, (_, i) => JSON.stringify({ key: (i * 7919) % 1000, i }) + "\\n");
    const source = readNdjson([Buffer.from(lines.join(""))]);
    for await (const { i } of sort(source, { by: "key", memory: 64e6 })) console.log(i);
  `;
  const args = ["--jitless", "--input-type=module", "-e", program];
  const printed = execFileSync(process.execPath, args, { encoding: "utf8", stdio: "pipe" });
  const numbers = Array.from({ length: COUNT }, (_, i) => i);
  const order = numbers.sort((a, b) => ((a * 7919) % 1000) - ((b * 7919) % 1000));
  expect(printed.trim().split("\n").map(Number)).toEqual(order);
});

async function bytesOf(output: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of output) pieces.push(piece);
  return pieces;
}
