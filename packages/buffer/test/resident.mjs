// Appends 100-byte records to many keys through a buffer, and prints by how much the process's
// resident memory grew at its peak. usage: resident.mjs SLOW RECORDS KEYS BOUND
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import { BaseStore } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { peakMemory } from "tooling/peak-memory";

/** Keeps nothing, so that what is measured is the buffer alone. */
class Sink extends BaseStore {
  bytes = 0;

  async _append({ byteLength }) {
    await new Promise((next) => setImmediate(next));
    this.bytes += byteLength;
  }
  async _get(keys) {
    return keys.map(() => new Uint8Array(0));
  }
  async _delete() {}
  async _keys() {
    return [];
  }
}

const [slowName, ...numbers] = process.argv.slice(2);
const [records, keyCount, availableMemory] = numbers.map(Number);
const record = new Uint8Array(100).fill(7);
const slow = slowName === "Sink" ? new Sink() : new FileStore();
const store = new BufferStore(new Dict(), slow, { availableMemory });

await store.append([["warm-up", record]]);
await store.flush();
await store.delete("warm-up");
const before = process.memoryUsage.rss();
for (let i = 0; i < records; i += 1000) {
  // Different numbers of steps ahead, so that keys are not all of one size.
  const batch = Array.from({ length: 1000 }, (_, j) => [
    `key-${((i + j) * (1 + (j % 3))) % keyCount}`,
    record,
  ]);
  await store.append(batch);
}
const most = store.stats().memoryHeld;
await store.flush();
const grown = peakMemory() - before;
let found = 0;
if (slow instanceof Sink) found = slow.bytes - 100;
else {
  for (let i = 0; i < keyCount; i += 100) {
    const keys = Array.from({ length: 100 }, (_, j) => `key-${i + j}`);
    for (const value of await store.get(keys)) found += value.byteLength;
  }
}
const { waits } = store.stats();
await store.close();
console.log(JSON.stringify({ grown, found, most, waits }));
