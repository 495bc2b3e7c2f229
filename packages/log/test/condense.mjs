// Compacts or drops a data set. From the first call for a new manifest on, the call of a number is
// the last (`kill`), or the last and done by half if it writes (`torn`), or fails (`fail`). Then, if
// there is a then, appends and tells what is there:
//   node condense.mjs DIRECTORY compact|drop CALL kill|torn|fail
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [directory, operation, call, how] = process.argv.slice(2);
const original = { ...fs };
let left = Number(call);
let counting = false;
let over = false;
for (const name of ["open", "write", "fdatasync", "fsync", "rename", "rm", "readdir"]) {
  fs[`${name}Sync`] = (...args) => {
    const run = original[`${name}Sync`];
    counting ||= !over && name === "readdir" && String(args[0]).endsWith(".partd-log");
    if (!counting || over || --left !== 0) return run(...args);
    if (how === "fail") {
      const code = "ENOSPC";
      throw Object.assign(new Error(`${code}: injected, ${name}`), { code, syscall: name });
    }
    if (how === "torn" && name === "write") run(args[0], args[1], args[2], args[3] >> 1, args[4]);
    original.writeSync(1, `${name}\n`);
    process.kill(process.pid, "SIGKILL");
  };
}
syncBuiltinESMExports();

const { LogStore } = await import("@partd/log");
const store = new LogStore(directory);
await store[operation]();
over = true;
const reached = left <= 0;
await store.append({ x: Buffer.from("!") });
const value = Buffer.from(await store.get("x")).toString();
await store.close();
original.writeSync(1, `${reached ? "failed" : "done"} ${value}\n`);
