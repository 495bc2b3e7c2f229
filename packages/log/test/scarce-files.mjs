// Appends with 10 descriptors left, of which each full segment holds two until it has its index, and
// tells how many appends failed and whether all the others are there:
//   node scarce-files.mjs DIRECTORY
import { closeSync, openSync } from "node:fs";
import { LogStore } from "@partd/log";

const [directory] = process.argv.slice(2);
const store = new LogStore(directory, { segmentSize: 500 });
await store.append({ x: Buffer.from("0,") });
const taken = [];
try {
  for (;;) taken.push(openSync(process.execPath));
} catch {
  for (const fd of taken.splice(-10)) closeSync(fd);
}
let failed = 0;
let values = "0,";
for (let i = 0; i < 300; i++) {
  const batch = { x: Buffer.from(`${i},`), [`k${i % 100}`]: Buffer.alloc(100) };
  await store.append(batch).then(
    () => {
      values += `${i},`;
    },
    () => failed++,
  );
}
for (const fd of taken) closeSync(fd);
const isWhole = String(Buffer.from(await store.get("x"))) === values;
await store.close();
console.log(JSON.stringify([failed, isWhole]));
