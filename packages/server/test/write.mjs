// node write.mjs ADDRESS NAME COUNT: so many appends, of which it prints how many resolved.
import { Client } from "@partd/server";

const [address, name, count] = process.argv.slice(2);
const client = new Client(address);
let next = 0;
let done = 0;
await Promise.all(
  Array.from({ length: 8 }, async () => {
    while (next < Number(count)) {
      const mark = new TextEncoder().encode(`<${name}${next++}>`);
      await client.append({ all: mark, [`k${next % 17}`]: mark, [`of ${name}`]: mark });
      done++;
    }
  }),
);
await client.close();
console.log(done);
