// Does one kind of work over generated records and prints its peak of resident memory in MiB:
// node resident.mjs WORK RECORDS MEMORY DIR
import { countBy, distinct, groupBy, join, sort } from "@partd/shuffle";

const [work, countText, memoryText, dir] = process.argv.slice(2);
const count = Number(countText);
const pad = "x".repeat(60);
function* records(keys) {
  for (let i = 0; i < count; i++)
    yield { key: `k${(Math.imul(i, 0x9e3779b1) >>> 0) % keys}`, i, pad };
}
let spilled = 0;
const onProgress = ({ bytesSpilled }) => {
  spilled = bytesSpilled;
};
const options = { by: "key", memory: Number(memoryText), dir, onProgress };
const groups = async (keys) => {
  let found = 0;
  for await (const group of groupBy(records(keys), options)) {
    for await (const batch of group.batches()) found += batch.length;
  }
  return found;
};
const size = async (output) => {
  let found = 0;
  for await (const batch of output.batches()) found += batch.length;
  return found;
};
const works = {
  "one key": () => groups(1),
  "some keys": () => groups(10_000),
  "a key each": () => groups(2 ** 32),
  countBy: () => size(countBy(records(2 ** 32), options)),
  distinct: () => size(distinct(records(2 ** 32), options)),
  sort: () => size(sort(records(2 ** 32), options)),
  join: () => size(join(records(2 ** 32), records(2 ** 32), options)),
};
const found = await works[work]();
const peak = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ found, peak, spilled }));
