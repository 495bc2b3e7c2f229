// Appends to and reads 5,000 keys, under few descriptors, some of them taken.
//
//   hoarder.mjs DIRECTORY
import { openSync, writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const [directory, most] = process.argv.slice(2);
const store = new FileStore(directory, most ? { maxOpenFiles: Number(most) } : {});
const keys = Array.from({ length: 5_000 }, (_, i) => `k${i}`);
const batch = (text) => keys.map((key) => [key, Buffer.from(`${text}${key};`)]);
await store.append(batch("a"));
// Nearly all descriptors that are left go to others.
const taken = [];
try {
  for (;;) taken.push(openSync("/dev/null"));
} catch {
  const { closeSync } = await import("node:fs");
  for (const fd of taken.splice(0, 6)) closeSync(fd);
}
await Promise.all([store.append(batch("b")), store.append(batch("c")), store.get(keys)]);
const values = await store.get(keys);
for (const [i, key] of keys.entries()) {
  const wanted = [`a${key};b${key};c${key};`, `a${key};c${key};b${key};`];
  const value = Buffer.from(values[i]).toString();
  if (!wanted.includes(value)) throw new Error(`${key} holds ${value}`);
}
let count = 0;
for await (const _ of store.keys()) count++;
let streamed = 0;
for await (const piece of store.stream("k7")) streamed += piece.byteLength;
await store.delete(keys.slice(0, 4_000));
await store.iset("k0", Buffer.from("set"));
await store.drop();
await store.close();
writeSync(1, `${count} ${streamed}\n`);
