// Takes the lock, tells of it, and keeps it until it is killed.
//
//   holder.mjs DIRECTORY
import { writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const store = new FileStore(process.argv[2], { staleMs: 600_000 });
process.stdin.resume();
await store.withLock(async (held) => {
  await held.append({ holder: Buffer.from("[") });
  writeSync(1, "held\n");
  await new Promise(() => {});
});
