// Appends to many segments, reads, compacts, and tells what it found:
//   node few-files.mjs DIRECTORY
import { LogStore } from "@partd/log";

const SEGMENTS = 200;
const text = (value) => Buffer.from(value).toString();
const told = [];
for (let round = 0; round < 2; round++) {
  const store = new LogStore(process.argv[2], { segmentSize: 1 });
  for (let i = 0; i < SEGMENTS; i++) {
    await store.append({ x: Buffer.from(`${i},`), [`k${i}`]: Buffer.from("1") });
  }
  told.push(text(await store.get("x")).length);
  let streamed = 0;
  for await (const piece of store.stream("k1")) streamed += piece.length;
  told.push(streamed);
  await store.close();
}
const store = new LogStore(process.argv[2]);
told.push(text(await store.get("x")).length);
for (const options of [{}, { sorted: true }]) {
  let keys = 0;
  for await (const _ of store.keys(options)) keys++;
  told.push(keys);
}
told.push(await store.count());
await store.compact();
told.push(text(await store.get("x")).length, (await store.verify()).segments);
await store.close();
console.log(JSON.stringify(told));
