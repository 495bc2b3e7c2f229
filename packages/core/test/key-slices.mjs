// Keys that were cut out of long texts: what they keep alive, in bytes for each key.
import { Dict } from "@partd/core";

const KEYS = 2_000;
const store = new Dict();
const value = Uint8Array.of(1);
globalThis.gc();
const before = process.memoryUsage().heapUsed;
for (let i = 0; i < KEYS; i++) {
  const line = `user-number-${i}-${"x".repeat(20_000)}${i}`;
  const key = JSON.parse(JSON.stringify(line)).slice(0, 30);
  await store.append([[key, value]]);
  await store.iset(`${JSON.parse(JSON.stringify(line)).slice(0, 40)}`, value);
}
globalThis.gc();
console.log((process.memoryUsage().heapUsed - before) / KEYS);
await store.close(); // Until here it holds its keys.
