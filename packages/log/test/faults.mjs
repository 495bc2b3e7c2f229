// Runs a scenario in which one call of the file system fails, and tells what came of it:
//   node faults.mjs DIRECTORY append|compact
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [directory, scenario] = process.argv.slice(2);
const original = { ...fs };
/** Whether a call on that file is to fail; told before the call is made. */
let rule = () => false;
const pathOf = (fd) => {
  try {
    return original.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
};
for (const name of ["write", "writev", "fdatasync", "fsync"]) {
  const error = () => Object.assign(new Error(`injected, ${name}`), { code: "EIO", syscall: name });
  fs[`${name}Sync`] = (...args) => {
    if (rule(name, pathOf(args[0]))) throw error();
    return original[`${name}Sync`](...args);
  };
  fs[name] = (...args) => {
    if (rule(name, pathOf(args[0]))) return setImmediate(args.at(-1), error());
    return original[name](...args);
  };
}
syncBuiltinESMExports();

const { LogStore } = await import("@partd/log");
const text = (value) => Buffer.from(value).toString();
const killed = () => {
  const copy = `${directory}-killed`;
  original.cpSync(directory, copy, { recursive: true });
  // As far as anyone can see.
  const manifest = `${copy}/.partd-log/manifest`;
  return [copy, manifest];
};
const outcome = async (work) => {
  try {
    await work;
    return "done";
  } catch (error) {
    return `${error.code} ${error.cause?.code}`;
  }
};
const readBy = async (path) => {
  const store = new LogStore(path);
  const value = await outcome(store.get("x").then((bytes) => told.push(text(bytes))));
  await store.close();
  if (value !== "done") told.push(value);
};
const told = [];
const store = new LogStore(directory, { fsync: true });
await store.append({ x: Buffer.from("1") });
if (scenario === "append") {
  let count = 0;
  rule = (name, path) => name === "fdatasync" && path.endsWith(".seg") && count++ === 0;
  told.push(await outcome(store.append({ x: Buffer.from("2") })));
  await readBy(killed()[0]);
  told.push(text(await store.get("x")));
  await store.append({ x: Buffer.from("3") });
} else {
  let count = 0;
  rule = (name, path) => name === "fdatasync" && path.endsWith("/manifest") && count++ === 0;
  told.push(await outcome(store.compact()));
  await readBy(killed()[0]);
  told.push(text(await store.get("x")));
  await store.append({ x: Buffer.from("3") });
  await store.compact();
}
told.push(text(await store.get("x")));
await store.close();
await readBy(directory);
original.writeSync(1, `${JSON.stringify(told)}\n`);
