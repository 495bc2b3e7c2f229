// Does one kind of work over generated records and prints its peak of resident memory in MiB:
// node resident.mjs WORK RECORDS MEMORY DIR
import { closeSync, existsSync, openSync, rmSync, writeSync } from "node:fs";
import { join as joinPath } from "node:path";
import { readNdjson } from "@partd/records";
import {
  countBy,
  distinct,
  groupBy,
  join,
  longestRecord,
  reduceBy,
  shuffle,
  sort,
  split,
  top,
} from "@partd/shuffle";
import { peakMemory } from "tooling/peak-memory";

const [work, countText, memoryText, dir] = process.argv.slice(2);
const count = Number(countText);
const pad = "x".repeat(60);
function* records(keys) {
  for (let i = 0; i < count; i++)
    yield { key: `k${(Math.imul(i, 0x9e3779b1) >>> 0) % keys}`, i, pad };
}
let spilled = 0;
const onProgress = ({ bytesSpilled }) => {
  spilled = bytesSpilled;
};
const options = { by: "key", memory: Number(memoryText), dir, onProgress };
const groups = async (keys) => {
  let found = 0;
  for await (const group of groupBy(records(keys), options)) {
    for await (const batch of group.batches()) found += batch.length;
  }
  return found;
};
const size = async (output) => {
  let found = 0;
  for await (const batch of output.batches()) found += batch.length;
  return found;
};
/**
 * Bytes of an output over a file with records that take most of the memory each, or as much as is allowed.
 *
 * @param key bytes of each of their keys, besides its number.
 */
const huge = async (operate, records = 1, length = options.memory * 0.75, before = 0, key = 0) => {
  // Works over the same records share their file, as it takes seconds to write.
  const path = joinPath(dir, `huge-${records}-${length}-${before}-${key}.ndjson`);
  if (!existsSync(path)) writeHuge(path, records, length, before, key);
  let found = 0;
  for await (const pieces of operate(readNdjson(path))) {
    for await (const piece of pieces) found += piece.length;
  }
  return found;
};
function writeHuge(path, records, length, before, key) {
  const file = openSync(path, "wx");
  writeSync(file, '{"key":"a"}\n');
  for (let i = 0; i < before; i += 500) {
    const line = (_, n) => `{"key":"k${i + n}","pad":"${pad}"}\n`;
    writeSync(file, Array.from({ length: 500 }, line).join(""));
  }
  const [x, y] = [Buffer.alloc(1e6, "x"), Buffer.alloc(1e6, "y")];
  for (let record = 0; record < records; record++) {
    writeSync(file, '{"key":"b');
    for (let i = 0; i < key; i += 1e6) writeSync(file, y);
    writeSync(file, `${-record}","pad":"`);
    for (let i = key; i < length - 1e6; i += 1e6) writeSync(file, x);
    writeSync(file, '"}\n{"key":"a"}\n');
  }
  closeSync(file);
}
/** Five records with keys of 20 MB that differ at their ends, behind more than memory. */
const longKeys = (operate) => huge(operate, 5, 50e6, MUCH, 20e6);
const longest = (operation) => longestRecord(operation, options.memory);
/** What gives no bytes, on its way. */
async function* counted(items) {
  let found = 0;
  for await (const batch of items.batches()) found += batch.length;
  yield [new Uint8Array(found)];
}
async function* splitBytes(source, more) {
  const into = joinPath(dir, "parts");
  yield [new Uint8Array((await split(source, { ...options, into, ...more })).files)];
  rmSync(into, { recursive: true });
}
async function* groupsOf(source) {
  for await (const group of groupBy(source, options)) yield group.bytes();
}
async function* partitionsOf(source) {
  for await (const partition of shuffle(source, options)) yield partition.bytes();
}
/** Records that are more than memory. */
const MUCH = 1_500_000;
const works = {
  "a huge record, grouped": () => huge(groupsOf),
  "a huge record, shuffled": () => huge(partitionsOf),
  "a huge record, split": () => huge((source) => splitBytes(source)),
  "a huge record, split into partitions": () =>
    huge((source) => splitBytes(source, { partitions: 3 })),
  "a huge record, counted": () => huge((source) => counted(countBy(source, options))),
  "a huge record, distinct by its key": () => huge((source) => [distinct(source, options).bytes()]),
  "a huge record, distinct": () =>
    huge((source) => [distinct(source, { ...options, by: undefined }).bytes()]),
  "a huge record among the top": () =>
    huge((source) => [top(source, { ...options, n: 10 }).bytes()]),
  "a huge record, reduced": () => {
    const reduce = { initial: () => 0, reduce: (found) => found + 1 };
    return huge(
      (source) => counted(reduceBy(source, { ...options, ...reduce })),
      1,
      longest("reduceBy"),
    );
  },
  "a huge record, joined": () => {
    return huge((source) => [join(source, source, options).bytes()], 1, longest("join"));
  },
  "much and a huge record, grouped": () => huge(groupsOf, 1, undefined, MUCH),
  "much and a huge record, sorted": () => {
    return huge((source) => [sort(source, options).bytes()], 1, undefined, MUCH);
  },
  "much and a huge record, distinct": () => {
    return huge((source) => [distinct(source, options).bytes()], 1, undefined, MUCH);
  },
  "much and a huge record, the top": () => {
    return huge((source) => [top(source, { ...options, n: 1e9 }).bytes()], 1, undefined, MUCH);
  },
  "long keys, sorted": () => longKeys((source) => [sort(source, options).bytes()]),
  "long keys, the top": () => longKeys((source) => [top(source, { ...options, n: 1e9 }).bytes()]),
  "long keys, grouped": () => longKeys(groupsOf),
  "long keys, distinct": () => longKeys((source) => [distinct(source, options).bytes()]),
  "long keys, counted": () => longKeys((source) => counted(countBy(source, options))),
  "a huge record, sorted": () => huge((source) => [sort(source, options).bytes()]),
  "huge records, sorted": () => huge((source) => [sort(source, options).bytes()], 3),
  "huge records, grouped": () => huge(groupsOf, 3),
  "one key": () => groups(1),
  "some keys": () => groups(10_000),
  "a key each": () => groups(2 ** 32),
  countBy: () => size(countBy(records(2 ** 32), options)),
  distinct: () => size(distinct(records(2 ** 32), options)),
  sort: () => size(sort(records(2 ** 32), options)),
  join: () => size(join(records(2 ** 32), records(2 ** 32), options)),
};
const found = await works[work]();
const peak = Math.round(peakMemory() / 2 ** 20);
console.log(JSON.stringify({ found, peak, spilled }));
