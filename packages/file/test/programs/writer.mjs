// Appends batches of records to shared keys, and tells of each when it is done.
//
//   writer.mjs DIRECTORY NAME KEYS COUNT LARGEST
//
// A record is `[name seq keys length]`, then bytes, then `;`. Ends after COUNT appends, or
// when its standard input ends.
import { writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const [directory, name, keyCount, count, largest] = process.argv.slice(2);
const store = new FileStore(directory);
process.stdin.on("end", () => process.exit()).resume();
writeSync(1, "ready\n");
for (let seq = 0; seq < Number(count); ) {
  // Some overlap, and are written together.
  const some = Array.from({ length: 1 + Math.floor(Math.random() * 3) }, () => seq++);
  await Promise.all(
    some.map(async (number) => {
      await store.append(batch(number));
      writeSync(1, `${number}\n`);
    }),
  );
}
await store.close();
writeSync(1, "end\n");
process.exit();

function batch(seq) {
  const keys = new Set();
  const width = 1 + Math.floor(Math.random() * 8);
  while (keys.size < width) keys.add(`k${Math.floor(Math.random() * Number(keyCount))}`);
  return [...keys].map((key) => [key, record(seq, keys.size)]);
}

function record(seq, width) {
  const length = Math.floor(Math.random() ** 4 * Number(largest));
  const bytes = Buffer.alloc(length, `${name}.${seq}/`);
  return Buffer.concat([
    Buffer.from(`[${name} ${seq} ${width} ${length}]`),
    bytes,
    Buffer.from(";"),
  ]);
}
