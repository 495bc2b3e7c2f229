// Does one operation and is killed at a certain call of the file system: before it, or in the
// middle if it writes. Tells the calls it has made, then "done", if the operation needs fewer.
//
//   crash.mjs DIRECTORY OPERATION CALL before|torn
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [directory, operation, call, how] = process.argv.slice(2);
const changing = [
  "open",
  "write",
  "mkdir",
  "link",
  "unlink",
  "rename",
  "rmdir",
  "truncate",
  "utimes",
];
let left = Number(call);
const made = [];
const tell = (text) => original.writeSync(1, text);
const original = { ...fs };
for (const name of [...changing, "ftruncate"].map((one) => `${one}Sync`)) {
  fs[name] = (...args) => {
    if (--left === 0) {
      if (how === "torn" && name === "writeSync") {
        const [fd, bytes, offset, length, position] = args;
        original.writeSync(fd, bytes, offset, length >> 1, position);
      }
      tell(`${name}\n`);
      process.kill(process.pid, "SIGKILL");
    }
    made.push(name);
    return original[name](...args);
  };
}
syncBuiltinESMExports();
// No call seems slow, so that none goes to the thread pool, where it would not be counted.
performance.now = () => 0;

const { tuple } = await import("@partd/core");
const { FileStore } = await import("@partd/file");
const store = new FileStore(directory, { staleMs: 600_000 });
const long = "k".repeat(300);
const text = (value) => Buffer.from(value);
const operations = {
  append: () =>
    store.append([
      ["old", text("+more+")],
      [tuple("folder", "new"), text("new")],
      [long, text("+more+")],
      [`${long}2`, text("new")],
      ["folder", text("new")],
      ["new", text("new")],
    ]),
  set: () => store.iset("old", text("set")),
  setNew: () => store.iset(tuple("folder", "new"), text("set")),
  setAside: () => store.iset(long, text("set")),
  delete: () => store.delete(["old", tuple("deep", "er", "old"), long]),
  pop: () => store.pop(["old"]),
  drop: () => store.drop(),
  get: () => store.get("old"),
};
await operations[operation]();
await store.close();
tell(`${made.join(" ")}\ndone\n`);
