// Lets each call of the file system fail in turn, and tells what was wrong then, and how many failed:
//   node disk-faults.mjs DIRECTORY [fsync] [thorough]
import { FileStore } from "@partd/file";
import { tryDiskFaults } from "@partd/testing/disk-faults";

const [root, ...words] = process.argv.slice(2);
const fsync = words.includes("fsync");
const { faults, breaches } = await tryDiskFaults({
  root,
  open: (directory) => new FileStore(directory, { fsync, staleMs: 600_000, lockTimeoutMs: 20_000 }),
  lockFolders: [".partd/lock"],
  passing: /^\.partd\/work-/,
  thorough: words.includes("thorough"),
});
for (const breach of breaches) console.log(breach);
console.log(faults, "faults");
