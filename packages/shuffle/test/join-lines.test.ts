import { describe, expect, test } from "@jest/globals";
import { readCsv, readNdjson } from "@partd/records";
import { join } from "@partd/shuffle";
import fc from "fast-check";
import { LITTLE } from "./workload.js";

/** More by `PARTD_SHUFFLE_RUNS`. */
const runs = { numRuns: Number(process.env.PARTD_SHUFFLE_RUNS ?? 20) };

interface Row {
  readonly k?: unknown;
  readonly i: number;
  readonly pad: string;
}

const KINDS = ["inner", "left", "right", "full"] as const;

/** Keys written in several ways, that are missing, `null`, or hold a line break or a bracket. */
const keys = fc.constantFrom('"a"', '"\\u0061"', '"b\\n]"', "1", "1.0", "10e-1", '"1"', "null", "");

function rowsOf(padding: number): fc.Arbitrary<string[]> {
  // A field that no record has would be an error.
  const lists = fc.array(keys, { maxLength: 60 }).filter((list) => !list.every((k) => k === ""));
  return fc.oneof(fc.constant([]), lists).map((list) => linesOf(list, padding));
}

function linesOf(list: readonly string[], padding: number): string[] {
  return list.map((key, i) => {
    const member = key === "" ? "" : `"k":${key},`;
    return `{${member}"i":${i},"pad":"${"x".repeat(padding)}"}${i % 7 === 0 ? "\r" : ""}\n`;
  });
}

/** Whether one side's keys are text and the other's numbers, which is an error. */
function areApart(left: readonly string[], right: readonly string[]): boolean {
  const [ours, theirs] = [left, right].map((rows) => {
    return new Set(
      rows.flatMap((row) => row.match(/(?<=^{"k":)["\d]/)?.[0].replace(/\d/, "0") ?? []),
    );
  });
  return ours!.size > 0 && theirs!.size > 0 && ![...ours!].some((kind) => theirs!.has(kind));
}

describe("the lines of a join", () => {
  test("are those of the straightforward program", async () => {
    let spilled = 0;
    const sides = fc
      .constantFrom(0, 10, 30_000)
      .chain((padding) => fc.tuple(rowsOf(padding), rowsOf(padding)))
      .filter(([left, right]) => !areApart(left, right));
    const property = fc.asyncProperty(sides, async ([left, right]) => {
      const reader = (rows: readonly string[]) => readNdjson<Row>([Buffer.from(rows.join(""))]);
      for (const kind of KINDS) {
        const output = join(reader(left), reader(right), {
          by: "k",
          kind,
          memory: LITTLE,
          onProgress: ({ bytesSpilled }) => {
            spilled = Math.max(spilled, bytesSpilled);
          },
        });
        const lines = Buffer.concat(await piecesOf(output.bytes())).toString();
        expect(lines.endsWith("\n") || lines === "").toBe(true);
        const pairs = lines
          .split("\n")
          .slice(0, -1)
          .map((line) => namesOf(JSON.parse(line)));
        expect(pairs.toSorted().join()).toBe(expected(left, right, kind).toSorted().join());
      }
    });
    const many = Array.from({ length: 300 }, (_, i) => `${i % 150}`);
    const large = linesOf([...many, "null", ""], 8000);
    await fc.assert(property, { ...runs, examples: [[[large, large]]] });
    expect(spilled).toBeGreaterThan(0);
  });

  test("of semi and anti are the records as they were", async () => {
    const left = '{"k":1.0,"i":0}\r\n{"k":2,"i":1}\n{"i":2}\n';
    const sides = () => [readNdjson([Buffer.from(left)]), [{ k: 1 }, { k: 3 }]] as const;
    const bytes = async (kind: "semi" | "anti") => {
      const output = join(...sides(), { by: "k", kind });
      return Buffer.concat(await piecesOf(output.bytes())).toString();
    };
    expect(await bytes("semi")).toBe('{"k":1.0,"i":0}\r\n');
    expect(await bytes("anti")).toBe('{"k":2,"i":1}\n{"i":2}\n');
  });

  test("are not there for pairs of CSV rows, nor for what JSON cannot carry", async () => {
    const csv = () => readCsv([Buffer.from("k,v\n1,2\n")]);
    const none = { code: "ERR_PARTD_CODEC" };
    await expect(piecesOf(join(csv(), csv(), { by: "k" }).bytes())).rejects.toMatchObject(none);
    const semi = join(csv(), csv(), { by: "k", kind: "semi" });
    expect(Buffer.concat(await piecesOf(semi.bytes())).toString()).toBe("1,2\n");
    const dates = [{ k: 1, at: new Date(0) }];
    await expect(piecesOf(join(dates, dates, { by: "k" }).bytes())).rejects.toMatchObject(none);
  });
});

async function piecesOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const list: Uint8Array[] = [];
  for await (const piece of pieces) list.push(piece);
  return list;
}

function expected(
  leftLines: readonly string[],
  rightLines: readonly string[],
  kind: (typeof KINDS)[number],
): string[] {
  const [left, right] = [leftLines, rightLines].map((side) => side.map((line) => JSON.parse(line)));
  const pairs: string[] = [];
  const paired = new Set<Row>();
  for (const l of left as Row[]) {
    for (const r of right as Row[]) {
      if (l.k === undefined || l.k === null || l.k !== r.k) continue;
      pairs.push(namesOf([l, r]));
      paired.add(l).add(r);
    }
  }
  if (kind === "left" || kind === "full") {
    for (const l of left as Row[]) if (!paired.has(l)) pairs.push(namesOf([l, null]));
  }
  if (kind === "right" || kind === "full") {
    for (const r of right as Row[]) if (!paired.has(r)) pairs.push(namesOf([null, r]));
  }
  return pairs;
}

function namesOf(pair: readonly (Row | null)[]): string {
  return pair
    .map((row) => (row ? `${row.i}:${typeof row.k}:${row.k}:${row.pad.length}` : "-"))
    .join();
}
