// Counts up under the lock: what is lost or counted twice shows that two held it at once.
//
//   counter.mjs DIRECTORY TIMES
import { writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const [directory, times] = process.argv.slice(2);
const store = new FileStore(directory, { staleMs: 600_000 });
writeSync(1, "ready\n");
for (let i = 0; i < Number(times); i++) {
  await store.withLock(async (held) => {
    const count = Number(Buffer.from(await held.pop("count")).toString()) + 1;
    await held.append({ count: Buffer.from(String(count)) });
  });
}
await store.close();
writeSync(1, "end\n");
