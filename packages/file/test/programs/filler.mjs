// Appends until it fails, then tells how, and what the data is.
//
//   filler.mjs DIRECTORY LARGE
import { writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const [directory, large] = process.argv.slice(2);
const store = new FileStore(directory);
await store.append({ x: Buffer.from("before"), y: Buffer.from("before") });
const big = new Uint8Array(Number(large)).fill(1);
const fails = store.append([
  ["x", Buffer.from("LATE")],
  ["big", big],
  ["new", Buffer.from("LATE")],
]);
// Overlaps, and is not at fault.
const works = store.append({ x: Buffer.from(" beside") });
const results = await Promise.allSettled([fails, works]);
const [error] = results.map(({ reason }) => reason);
await store.append({ x: Buffer.from(" after") });
const values = await store.get(["x", "y", "big", "new"]);
const keys = [];
for await (const key of store.keys()) keys.push(key);
const set = await Promise.allSettled([store.iset("y", big)]);
const y = Buffer.from(await store.get("y")).toString();
await store.close();
writeSync(
  1,
  `${JSON.stringify({
    statuses: results.map(({ status }) => status),
    code: error?.code,
    cause: error?.cause?.code,
    key: error?.key,
    message: error?.message,
    values: values.map((value) => Buffer.from(value.subarray(0, 40)).toString()),
    keys: keys.sort(),
    set: set[0].reason?.cause?.code,
    y,
  })}\n`,
);
