// Appends a million values of 100 bytes, reads them back, and prints what memory that took.
import { Dict } from "@partd/core";

const KEYS = 1_000;
const BATCHES = 1_000;
const value = new Uint8Array(100).fill(120);
const names = Array.from({ length: KEYS }, (_, i) => `key-${i}`);
const batch = () => new Map(names.map((name) => [name, value]));

const warm = new Dict();
for (let i = 0; i < 20; i++) await warm.append(batch());
await warm.close();
const before = measure();

const store = new Dict();
for (let i = 0; i < BATCHES; i++) await store.append(batch());
const after = measure();
let read = 0;
for (const name of names) read += (await store.get(name)).byteLength;

console.log(
  JSON.stringify({
    payload: KEYS * BATCHES * value.byteLength,
    read,
    byteLength: store.byteLength,
    memory: store.memory,
    heap: after.heap - before.heap,
    resident: after.resident - before.resident,
  }),
);

function measure() {
  globalThis.gc();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, resident: rss };
}
