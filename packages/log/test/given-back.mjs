// Appends what does not fit under the limit on a file's length, and tells the code, how many bytes the
// segments then take, the stamps' order and what is read:
//   node given-back.mjs DIRECTORY
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { LogStore } from "@partd/log";

const [directory] = process.argv.slice(2);
const taken = () =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".seg"))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
const store = new LogStore(directory);
const other = new LogStore(directory);
await store.append({ a: Buffer.from("1") });
const outcome = await store.append({ a: Buffer.alloc(3_000_000) }).catch((error) => error.code);
const rest = taken();
// The second is above the first, though the length fell in between.
await other.append({ a: Buffer.from("2") });
await store.append({ a: Buffer.from("3") });
const { damage, torn } = await other.verify();
const told = [outcome, rest < 1000, String(Buffer.from(await other.get("a")))];
await store.close();
await other.close();
const again = new LogStore(directory);
told.push(String(Buffer.from(await again.get("a"))), damage.length, torn.length);
await again.compact();
await again.append({ a: Buffer.from("4") });
told.push(String(Buffer.from(await again.get("a"))));
await again.close();
console.log(JSON.stringify(told));
