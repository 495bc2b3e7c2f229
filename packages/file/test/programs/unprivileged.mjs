// Works on a directory in which it may not write.
//
//   unprivileged.mjs DIRECTORY
import { writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const [directory] = process.argv.slice(2);
// Loads what is loaded late, while it may read everything.
const first = new FileStore();
await first.append({ x: Buffer.from("1") });
await first.close();
if (process.getuid() === 0) {
  process.setegid(65534);
  process.seteuid(65534);
}
const store = new FileStore(directory);
const [append, get] = await Promise.allSettled([
  store.append({ x: Buffer.from("2") }),
  store.get("x"),
]);
const tell = ({ reason }) => ({
  code: reason?.code,
  cause: reason?.cause?.code,
  message: reason?.message,
});
writeSync(1, `${JSON.stringify({ append: tell(append), get: tell(get) })}\n`);
