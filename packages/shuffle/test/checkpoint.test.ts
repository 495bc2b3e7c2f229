import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { readNdjson } from "@partd/records";
import { type Progress, sort } from "@partd/shuffle";
import { LITTLE } from "./workload.js";

const scratch = mkdtempSync(join(tmpdir(), "partd-checkpoint-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Row {
  readonly k: number;
  readonly i: number;
}

/** 2 MB, a fourth of it records of equal keys, and one record that is a run of its own. */
const rows = Array.from({ length: 8_000 }, (_, i) => {
  const k = i % 4 === 0 ? 7 : (i * 7919) % 9973;
  return `{"k":${k},"i":${i},"pad":"${"p".repeat(i === 4_000 ? 180_000 : 180)}"}\n`;
});
const sorted = async (source: AsyncIterable<Uint8Array>, checkpoint?: string, memory = LITTLE) => {
  let spilled = 0;
  const onProgress = ({ bytesSpilled }: Progress) => {
    spilled = bytesSpilled;
  };
  const output = sort(readNdjson<Row>(source), { by: "k", memory, onProgress, checkpoint });
  const pieces: Uint8Array[] = [];
  for await (const piece of output.bytes()) pieces.push(piece.slice());
  return { text: Buffer.concat(pieces).toString(), spilled };
};

/** Fails behind so many rows, as far as a process comes that is killed. */
async function* bytes(until = rows.length): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < until; from += 100)
    yield Buffer.from(rows.slice(from, from + 100).join(""));
  if (until < rows.length) throw new Error("killed");
}

const expected = await sorted(bytes());

test.each([0, 4_100, 7_900])(
  "a sort that ended behind %i records is gone on with",
  async (until) => {
    const checkpoint = join(scratch, `${until}`);
    await expect(sorted(bytes(until), checkpoint)).rejects.toThrow("killed");
    const { text, spilled } = await sorted(bytes(), checkpoint);
    expect(text).toBe(expected.text);
    // Complete runs are not spilled again: the last one before the end was not complete.
    if (until > 0) expect(spilled).toBeLessThan(expected.spilled - LITTLE / 4);
    // Once all runs are there, none is made any more.
    expect((await sorted(bytes(), checkpoint)).spilled).toBe(0);
  },
);

test("the journal may end anywhere", async () => {
  const checkpoint = join(scratch, "cut");
  await sorted(bytes(), checkpoint);
  const journal = join(checkpoint, "runs.ndjson");
  const whole = readFileSync(journal);
  const cuts = [0, 1, whole.indexOf("\n") + 1, whole.length >> 1, whole.length - 1];
  for (const cut of cuts) {
    writeFileSync(journal, whole.subarray(0, cut));
    expect((await sorted(bytes(), checkpoint)).text).toBe(expected.text);
  }
  writeFileSync(journal, Buffer.alloc(whole.length));
  expect((await sorted(bytes(), checkpoint)).text).toBe(expected.text);
});

test("runs that merges replaced are not used", async () => {
  // Each of these records is a run; they are more than are merged at a time.
  const large = async function* () {
    for (let i = 0; i < 150; i++) {
      yield Buffer.from(`{"k":${(i * 37) % 50},"i":${i},"pad":"${"p".repeat(110_000)}"}\n`);
    }
  };
  const checkpoint = join(scratch, "levels");
  const first = await sorted(large(), checkpoint);
  expect(readFileSync(join(checkpoint, "runs.ndjson"), "utf8")).toMatch(
    /"merged":{"from":[0-9]+,"count":[1-9]/,
  );
  const again = await sorted(large(), checkpoint);
  expect(again.text).toBe(first.text);
  expect(again.spilled).toBe(0);
  const order = Array.from(first.text.matchAll(/"k":(\d+),"i":(\d+)/g), ([, k, i]) => [
    Number(k),
    Number(i),
  ]);
  expect(order).toEqual([...order].sort(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d));
  expect(order).toHaveLength(150);
});

test("runs of an earlier boot or another memory are sorted again", async () => {
  const checkpoint = join(scratch, "old");
  await sorted(bytes(), checkpoint);
  utimesSync(join(checkpoint, "runs.ndjson"), 1, 1);
  const again = await sorted(bytes(), checkpoint);
  expect(again.text).toBe(expected.text);
  expect(again.spilled).toBeGreaterThan(LITTLE);
  const more = await sorted(bytes(), checkpoint, 2 * LITTLE);
  expect(more.text).toBe(expected.text);
  expect(more.spilled).toBeGreaterThan(LITTLE);
});

test.each([
  ["another version", (journal: string) => journal.replace('"format":', '"format":9')],
  ["no version", (journal: string) => journal.replace(/"format":\d+,/, "")],
  ["no lengths", (journal: string) => journal.replace(/"longest":\d+,/, "")],
  ["negative extents", (journal: string) => journal.replace('"start":', '"start":-1')],
  ["no extents", (journal: string) => journal.replace('"extents":', '"extent":')],
  ["no object", (journal: string) => journal.replace(/\n.*\n/, "\nnull\n")],
])("runs of a journal with %s are sorted again", async (_, change) => {
  const checkpoint = join(scratch, "changed");
  await sorted(bytes(), checkpoint);
  const journal = join(checkpoint, "runs.ndjson");
  const text = readFileSync(journal, "utf8");
  writeFileSync(journal, change(text));
  expect(readFileSync(journal, "utf8")).not.toBe(text);
  const again = await sorted(bytes(), checkpoint);
  expect(again.text).toBe(expected.text);
  expect(again.spilled).toBeGreaterThan(LITTLE);
});

test("runs of another source are refused", async () => {
  const checkpoint = join(scratch, "other");
  await sorted(bytes(), checkpoint);
  const other = async function* () {
    yield Buffer.from(rows[0] as string);
  };
  await expect(sorted(other(), checkpoint)).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
});

test("a checkpoint is one process's at a time", async () => {
  const checkpoint = join(scratch, "taken");
  await sorted(bytes(), checkpoint);
  const script = `
    import { readNdjson } from "@partd/records";
    import { sort } from "@partd/shuffle";
    const source = readNdjson([Buffer.from("{}")]);
    const checkpoint = ${JSON.stringify(checkpoint)};
    await sort(source, { by: "k", memory: ${LITTLE}, checkpoint }).toArray().catch(({ code }) => console.log(code));`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  expect(stdout).toBe("ERR_PARTD_LOCK\n");
});

test("nothing is made where all fits in memory", async () => {
  const checkpoint = join(scratch, "none");
  const { text } = await sorted(bytes(), checkpoint, 64e6);
  expect(text).toBe(expected.text);
  expect(existsSync(checkpoint)).toBe(false);
  expect(readdirSync(scratch)).not.toContain("none");
});
