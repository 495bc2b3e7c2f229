// Appends so many numbers to the groups that they belong to, in batches.
import { Json } from "@partd/codec-json";
import { Snappy } from "@partd/compress-snappy";
import { Client } from "@partd/server";

const [address = "", worker, records] = process.argv.slice(2);
const BATCH = 1_000;

await using p = new Json<number>(new Snappy(new Client(address)));
for (let start = 0; start < Number(records); start += BATCH) {
  const groups = new Map<string, number[]>();
  for (let i = start; i < start + BATCH; i++) {
    const number = i * 3 + Number(worker);
    const group = `ends in ${number % 10}`;
    const numbers = groups.get(group);
    if (numbers) numbers.push(number);
    else groups.set(group, [number]);
  }
  await p.append(groups);
}
