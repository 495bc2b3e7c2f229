// Appends what fits under the limit on a file's length, then what does not:
//   node full-disk.mjs DIRECTORY
import { LogStore } from "@partd/log";

const store = new LogStore(process.argv[2]);
const small = Buffer.from("small");
await store.append({ a: small });
const outcomes = [];
for (const size of [90_000, 3_000_000]) {
  const value = Buffer.alloc(size, "x");
  await store.append({ a: value, b: value }).then(
    () => outcomes.push("done"),
    (error) => outcomes.push(error.code, error.cause.code),
  );
  outcomes.push((await store.get("a")).length, (await store.get("b")).length);
}
await store.append({ a: small });
outcomes.push(String(Buffer.from(await store.get("a"))));
await store.close();
console.log(JSON.stringify(outcomes));
