// Lets each call of the file system that an operation makes fail in turn, once or with all that
// follow, and tells what is wrong then, a line each, and at last how many calls there were:
//   node each-call.mjs DIRECTORY append|large|set|delete|compact|drop|read once|all
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [root, operation, how] = process.argv.slice(2);
const original = { ...fs };
let rule = () => false;
const calls = ["open", "write", "writev", "fdatasync", "fsync", "link", "rename", "rm"];
if (operation === "read") calls.push("read", "readdir", "fstat");
for (const name of calls) {
  const code = operation === "read" ? "EIO" : "ENOSPC";
  const error = () => Object.assign(new Error(`injected, ${name}`), { code, syscall: name });
  fs[`${name}Sync`] = (...args) => {
    if (!rule(name)) return original[`${name}Sync`]?.(...args);
    // A full disk takes what it can.
    if (name === "write") original.writeSync(args[0], args[1], args[2], args[3] >> 1, args[4]);
    throw error();
  };
  fs[name] = (...args) => {
    if (!rule(name)) return original[name](...args);
    setImmediate(args.at(-1), error());
  };
}
syncBuiltinESMExports();

const { LogStore } = await import("@partd/log");
const text = (value) => Buffer.from(value).toString();
const bytes = (value) => Buffer.from(value);
const large = "l".repeat(200_000);
const before = ["x1", "y1", ""];
const operations = {
  append: [(s) => s.append({ x: bytes("2"), z: bytes("2") }), ["x12", "y1", "2"]],
  large: [(s) => s.append({ x: bytes("2"), z: bytes(large) }), ["x12", "y1", large]],
  set: [(s) => s.iset("x", bytes("set")), ["set", "y1", ""]],
  delete: [(s) => s.delete(["x", "y"]), ["", "", ""]],
  compact: [(s) => s.compact(), before],
  drop: [(s) => s.drop(), ["", "", ""]],
  read: [async (s) => ({ values: await read(s), count: await s.count() }), before],
};
const [run, after] = operations[operation];
const read = async (store) => (await store.get(["x", "y", "z"])).map(text);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const brief = (values) => values.map((value) => value.slice(0, 20)).join();
const wrong = (...parts) => console.log(parts.join(" "));

let call = 1;
for (let failed = true; failed; call++) {
  failed = false;
  const directory = `${root}/${call}`;
  const store = new LogStore(directory, { fsync: call % 2 === 0 || operation === "large" });
  await store.append({ x: bytes("x1"), y: bytes("y1") });
  let count = 0;
  let name = "";
  rule = (called) => {
    if (++count < call || (count > call && how === "once")) return false;
    name ||= called;
    failed = true;
    return true;
  };
  let outcome = "done";
  try {
    await run(store);
  } catch (error) {
    outcome = error.code;
    if (!/^ERR_PARTD_/.test(outcome)) wrong(call, name, "rejects with", error.stack);
    if (operation === "read" && !/^Cannot /.test(error.message)) wrong(call, name, error.message);
  }
  rule = () => false;
  const expected = outcome === "done" ? [after] : operation === "drop" ? [before, after] : [before];
  const check = async (who, values) => {
    if (!expected.some((one) => same(one, values))) wrong(call, name, outcome, who, brief(values));
  };
  // As it would be if the process were killed now.
  const copy = `${directory}-killed`;
  original.cpSync(directory, copy, { recursive: true });
  for (const folder of ["lock", "compact"]) {
    original.rmSync(`${copy}/.partd-log/${folder}`, { recursive: true, force: true });
  }
  const killed = new LogStore(copy);
  await check("after a kill", await read(killed));
  await killed.close();
  const found = await read(store);
  await check("for itself", found);
  const other = new LogStore(directory);
  await check("for another", await read(other));
  await store.append({ y: bytes("!") });
  await other.append({ y: bytes("?") });
  await store.delete("z");
  await other.compact();
  const last = [found[0], `${found[1]}!?`, ""];
  for (const one of [store, other]) {
    const values = await read(one);
    if (!same(values, last)) wrong(call, name, outcome, "at last", brief(values));
    if ((await one.verify()).damage.length > 0) wrong(call, name, outcome, "damage");
  }
  await store.close();
  await other.close();
}
console.log(call - 2, "calls");
