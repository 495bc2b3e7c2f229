import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { encodeGroupKey, hashKey, partitionOf } from "@partd/records";

const document = readFileSync(new URL("../../../docs/keys.md", import.meta.url), "utf8");
const vectors = document.slice(document.indexOf("## Vectors")).split("\n").slice(4);

/** The keys of the table, in its order. */
const keys = [
  ...[
    "",
    "ann",
    "é\n",
    0,
    12.5,
    1e21,
    "1",
    true,
    null,
    ["ann", 1],
    undefined,
    12n,
    9007199254740993n,
  ],
  ...[new Date(0), Uint8Array.of(1, 2), ["ann", undefined], NaN, "x".repeat(40)],
];

test("the vectors in docs/keys.md hold", () => {
  const rows = vectors.filter((line) => line.startsWith("|"));
  expect(rows).toHaveLength(keys.length);
  for (const [i, key] of keys.entries()) {
    const [, , bytes, hash, partition] = rows[i]!.split("|").map((cell) => cell.trim());
    const encoded = encodeGroupKey(key);
    const { low, high } = hashKey(encoded);
    if (bytes !== "the same in quotes") {
      const isText = bytes!.startsWith("`");
      const written = isText ? bytes!.slice(1, -1) : Buffer.from(encoded).toString("hex");
      if (isText) expect(Buffer.from(encoded).toString()).toBe(written);
      else expect(bytes!.replaceAll(" ", "")).toBe(written);
    }
    const digits = (half: number) => half.toString(16).padStart(8, "0");
    expect(hash).toBe(`\`${digits(high)}${digits(low)}\``);
    expect(Number(partition)).toBe(partitionOf(low, high, 64));
  }
});
