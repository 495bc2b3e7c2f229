// Appends batches of several keys to a data set, and tells each batch that has resolved:
//   node writer.mjs DIRECTORY NAME COUNT [OPTIONS]
import { LogStore } from "@partd/log";

const [directory, name, count, options = "{}"] = process.argv.slice(2);
const { skew = 0, fsync = false, segmentSize = 20_000, compact = false } = JSON.parse(options);
if (skew !== 0) {
  const { now } = Date;
  Date.now = () => now() + skew;
  const { hrtime } = process;
  process.hrtime = Object.assign(() => [hrtime()[0] + skew / 1000, hrtime()[1]], {
    bigint: () => hrtime.bigint() + BigInt(skew) * 1_000_000n,
  });
}
const store = new LogStore(directory, { fsync, segmentSize });
if (compact) {
  await store.get("x");
  process.stdout.write("ready\n");
  for (let i = 0; i < Number(count); i++) {
    await store.compact();
    process.stdout.write(`${i}\n`);
  }
} else if (count === "on demand") {
  // One append for each line that comes in.
  const { createInterface } = await import("node:readline");
  for await (const line of createInterface({ input: process.stdin })) {
    await store.append([["order", Buffer.from(line)]]);
    process.stdout.write(`${line}\n`);
  }
} else {
  for (let i = 0; i < Number(count); i++) {
    const value = Buffer.from(`<${name}${i}>`);
    const batch = [["all", value]];
    for (let key = 0; key < 5; key++) batch.push([`k${(i + key * 3) % 7}`, value]);
    await store.append(batch);
    process.stdout.write(`${i}\n`);
  }
}
await store.close();
