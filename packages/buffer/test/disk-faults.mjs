// Lets each call of the file system fail in turn below a buffer, while keys are removed from it, and
// tells what was wrong then, and how many failed:
//   node disk-faults.mjs DIRECTORY file|log [all] [thorough]
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { diskOperations, tryDiskFaults, unchanged } from "@partd/testing/disk-faults";

const [root, below, ...words] = process.argv.slice(2);
const options = { staleMs: 600_000, lockTimeoutMs: 20_000 };
const flush = { name: "flush", run: (store) => store.flush(), after: unchanged };
const operations = words.includes("all")
  ? [...diskOperations, flush]
  : diskOperations.filter(({ name }) =>
      // A LogStore deletes all keys at once or none.
      (below === "log" ? ["drop"] : ["delete", "pop", "drop"]).includes(name),
    );
const { faults, breaches } = await tryDiskFaults({
  root,
  open(directory) {
    const slow =
      below === "log" ? new LogStore(directory, options) : new FileStore(directory, options);
    return new BufferStore(new Dict(), slow);
  },
  operations,
  thorough: words.includes("thorough"),
});
for (const breach of breaches) console.log(breach);
console.log(faults, "faults");
