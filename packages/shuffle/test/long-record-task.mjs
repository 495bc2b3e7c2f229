// Writes a record of BYTES to a Shuffle over a LogStore in DIR, or reads it back as a group with MEMORY, and
// prints the peak of resident memory in MiB: node long-record-task.mjs write|read DIR BYTES MEMORY
import { LogStore } from "@partd/log";
import { Shuffle } from "@partd/shuffle";
import { peakMemory } from "tooling/peak-memory";

const [work, dir, bytes, memory] = process.argv.slice(2);
const store = new LogStore(dir);
const shuffle = new Shuffle(store, { by: "key", partitions: 1 });
let found = 0;
if (work === "write") {
  const writer = shuffle.writer({ task: 0 });
  await writer.write([{ key: "a" }, { key: "b", pad: "x".repeat(Number(bytes)) }, { key: "a" }]);
  await writer.commit();
  await shuffle.seal();
} else {
  for await (const group of shuffle.groups(0, { memory: Number(memory) })) {
    for await (const piece of group.bytes()) found += piece.length;
  }
}
await store.close();
console.log(JSON.stringify({ found, peak: Math.round(peakMemory() / 2 ** 20) }));
