// Holds the lock while its event loop stands still until FLAG is there, then goes on.
//
//   stalled.mjs DIRECTORY STALE_MS FLAG
import { existsSync, writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const [directory, staleMs, flag] = process.argv.slice(2);
const store = new FileStore(directory, { staleMs: Number(staleMs) });
await store.append({ x: Buffer.from("before ") });

stall.count = 0;
let section;
const inSection = store.withLock(async (held) => {
  await held.append({ x: Buffer.from("section ") });
  writeSync(1, "held\n");
  stall();
  section = await told(held.append({ x: Buffer.from("LATE ") }));
});
writeSync(1, `section ${await told(inSection)} ${section}\n`);

// Outside of a section: an append that is under way.
await store.append({ y: Buffer.from("before ") });
const appends = [
  store.append({ y: Buffer.from("LATE ") }),
  store.append({ z: Buffer.from("LATE ") }),
];
writeSync(1, "appending\n");
stall();
const codes = await Promise.all(appends.map(told));
writeSync(1, `appends ${codes.join(" ")}\n`);
await store.append({ x: Buffer.from("after"), y: Buffer.from("after") });
await store.close();
writeSync(1, "end\n");

function stall() {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const name = `${flag}${stall.count++}`;
  while (!existsSync(name)) Atomics.wait(cell, 0, 0, 20);
}

async function told(promise) {
  try {
    await promise;
    return "done";
  } catch (error) {
    return error.code ?? error.name;
  }
}
