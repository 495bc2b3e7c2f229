import { Client } from "@partd/server";
import { batchOf, bytesOf, keysOf } from "../workload.js";

// A client process of the `server` suite: connects, says so, and appends when it is told to.
const [address = "", batches] = process.argv.slice(2);
const client = new Client(address);
const batch = batchOf(keysOf(1_000), bytesOf(100));
await client.get("key-0");
process.send?.("ready");
process.once("message", async () => {
  await Promise.all(Array.from({ length: Number(batches) }, () => client.append(batch)));
  process.send?.("done");
  await client.close();
  process.disconnect();
});
