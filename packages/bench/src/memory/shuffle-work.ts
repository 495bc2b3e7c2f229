import { parseArgs } from "node:util";
import { readNdjson } from "@partd/records";
import {
  aggregate,
  count,
  distinct,
  groupBy,
  join,
  type Progress,
  sort,
  sum,
} from "@partd/shuffle";
import { peakMemory } from "tooling/peak-memory";
import { HUGE_BYTES, hugeRecord, LINE_BYTES, linesOf } from "./lines.js";

/** A child of `shuffle-memory.ts`: does one work, and prints what it found and its peak of resident memory. */
const { values } = parseArgs({
  options: {
    work: { type: "string", default: "" },
    records: { type: "string", default: "" },
    keys: { type: "string", default: "" },
    memory: { type: "string", default: "" },
    dir: { type: "string", default: "" },
    file: { type: "string" },
  },
});
const records = Number(values.records);
const keys = Number(values.keys);
let bytesSpilled = 0;
const onProgress = (progress: Progress) => {
  bytesSpilled = progress.bytesSpilled;
};
const options = { memory: Number(values.memory), dir: values.dir, onProgress };

interface Line {
  readonly user: string;
  readonly ms: number;
}

/** The records with so many keys: generated, or read from the file, which holds a tenth of them, ten times. */
function events(most = keys) {
  const { file } = values;
  return readNdjson<Line>(file ? Array.from({ length: 10 }, () => file) : linesOf(records, most));
}

/** The same with a record of {@link HUGE_BYTES} in their midst. */
async function* withHuge() {
  yield* linesOf(records / 2, keys);
  yield* hugeRecord();
  yield* linesOf(records / 2, keys);
}

const by = "user";
const works: Record<string, () => Promise<[found: number, expected: number]>> = {
  group: async () => [await groupedBytes(events()), records * LINE_BYTES],
  "group-one-key": async () => [await groupedBytes(events(1)), records * LINE_BYTES],
  "group-huge": async () => [
    await groupedBytes(readNdjson<Line>(withHuge())),
    records * LINE_BYTES + HUGE_BYTES,
  ],
  sort: async () => [await size(sort(events(), { by, ...options }).bytes()), records * LINE_BYTES],
  "sort-huge": async () => [
    await size(sort(readNdjson<Line>(withHuge()), { by, ...options }).bytes()),
    records * LINE_BYTES + HUGE_BYTES,
  ],
  join: async () => [
    await size(join(events(), readNdjson<Line>(linesOf(keys, keys)), { by, ...options }).bytes()),
    // `[left,right]` and a newline in place of two.
    records * (2 * LINE_BYTES + 2),
  ],
  distinct: async () => [
    await size(distinct(events(), { by, ...options }).bytes()),
    keys * LINE_BYTES,
  ],
  aggregate: async () => {
    const select = { n: count(), total: sum<Line>("ms") };
    let found = 0;
    for await (const batch of aggregate(events(), { by, select, ...options }).batches()) {
      for (const [, { n }] of batch) found += n;
    }
    return [found, records];
  },
};

async function groupedBytes(source: ReturnType<typeof events>): Promise<number> {
  let found = 0;
  for await (const group of groupBy(source, { by, ...options })) found += await size(group.bytes());
  return found;
}

async function size(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let found = 0;
  for await (const piece of pieces) found += piece.length;
  return found;
}

const work = works[values.work];
if (!work) throw new Error(`--work is one of ${Object.keys(works).join(", ")}`);
const [found, expected] = await work();
console.log(JSON.stringify({ found, expected, bytesSpilled, peak: peakMemory() }));
