// Fills the file system that is mounted at DIRECTORY, empties it through a LogStore while another
// program takes each byte that gets free, and tells what happened:
//   node emptied.mjs DIRECTORY
import { closeSync, openSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { LogStore } from "@partd/log";

const [directory] = process.argv.slice(2);
let fillers = 0;
function fill() {
  const fd = openSync(join(directory, `filler${fillers++}`), "w");
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096));
  } catch {
    closeSync(fd);
  }
}
const free = () => {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
};
/** So long that each deletion takes another page. */
const keyOf = (i) => `${i}`.padEnd(4096, "-");
const outcome = (call) => call.then(() => "done").catch(({ cause }) => cause?.code);

const path = join(directory, "d");
// Three values in each segment.
const store = new LogStore(path, { segmentSize: 300_000 });
for (let i = 0; i < 20; i++) await store.append({ [keyOf(i)]: Buffer.alloc(100_000, i) });
fill();
const told = { append: await outcome(store.append({ more: Buffer.alloc(100_000) })), free: [] };
// All of the first two segments, and some of the others.
const gone = [0, 1, 2, 3, 4, 5, 8, 9];
const deleted = [];
for (const i of gone) {
  fill();
  deleted.push(await outcome(store.delete(keyOf(i))));
}
told.deleted = deleted;
fill();
told.free.push(free());
told.compact = await outcome(store.compact()); // No room for what is alive.
told.free.push(free());
told.right = [];
for (const reader of [store, new LogStore(path)]) {
  const right = [];
  for (let i = 0; i < 20; i++) {
    const value = Buffer.from(await reader.get(keyOf(i)));
    right.push(value.equals(gone.includes(i) ? Buffer.alloc(0) : Buffer.alloc(100_000, i)));
  }
  told.right.push(right.every(Boolean));
}
const { damage } = await store.verify();
told.damage = damage.length;
console.log(JSON.stringify(told));
