// Closes its store at a signal to which it listens once, from before or after its first operation.
//
//   signalled.mjs DIRECTORY before|after
import { writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const [directory, when] = process.argv.slice(2);
const store = new FileStore(directory);
const listen = () =>
  process.once("SIGTERM", async () => {
    await store.append({ x: Buffer.from("+") });
    await store.close();
    process.exit(3);
  });
if (when === "before") listen();
await store.append({ x: Buffer.from("1") });
if (when === "after") listen();
setInterval(() => {}, 60_000);
writeSync(1, "ready\n");
