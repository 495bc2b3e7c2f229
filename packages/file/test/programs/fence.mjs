// Appends to all keys, or deletes one, each time it is told to, and tells how that ended.
//
//   fence.mjs DIRECTORY KEYS BYTES FASTER
import { createInterface } from "node:readline";
import { FileStore } from "@partd/file";

const [directory, keys, byteLength, faster] = process.argv.slice(2);
// The steady clocks of holders and takers have to run alike.
const { now } = performance;
performance.now = () => now.call(performance) * Number(faster);
const store = new FileStore(directory, { staleMs: 2_000 });
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const [what, number] = line.split(" ");
  const value = Buffer.alloc(Number(byteLength), `${number.padStart(7)}A`);
  const run = {
    append: () => store.append(Array.from({ length: Number(keys) }, (_, i) => [`k${i}`, value])),
    delete: () => store.delete(["deleted", "k/deleted"]),
    delete1: () => store.delete("deleted"),
  };
  try {
    await run[what]();
    console.log(`${number} done`);
  } catch (error) {
    console.log(`${number} ${error.code} ${/not known/.test(error.message) ? "unknown" : "not"}`);
  }
}
await store.close();
