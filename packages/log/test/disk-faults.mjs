// Lets each call of the file system fail in turn, and tells what was wrong then, and how many failed:
//   node disk-faults.mjs DIRECTORY [fsync] [thorough]
import { mkdirSync } from "node:fs";
import { LogStore } from "@partd/log";
import { diskOperations, tryDiskFaults, unchanged } from "@partd/testing/disk-faults";

const [root, ...words] = process.argv.slice(2);
mkdirSync(root, { recursive: true });
const fsync = words.includes("fsync");
const { faults, breaches } = await tryDiskFaults({
  root,
  open: (directory) => new LogStore(directory, { fsync, staleMs: 600_000, lockTimeoutMs: 20_000 }),
  operations: [
    ...diskOperations,
    { name: "compact", run: (store) => store.compact(), after: unchanged },
    { name: "verify", run: (store) => store.verify(), after: unchanged },
  ],
  lockFolders: [".partd-log/lock", ".partd-log/compact"],
  passing: /manifest\.|\.idx\./,
  thorough: words.includes("thorough"),
});
for (const breach of breaches) console.log(breach);
console.log(faults, "faults");
