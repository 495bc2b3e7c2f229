// Joins orders with their customers, two files that are each larger than the memory given, and adds up by city.
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { parseArgs } from "node:util";
import { readCsv, readNdjson, writeCsv, writeNdjson } from "@partd/records";
import { aggregate, count, join, sum } from "@partd/shuffle";
import { type Customer, type Order, randomCustomers, randomOrders } from "./sales.js";

const { values } = parseArgs({
  options: {
    customers: { type: "string", default: "200000" },
    orders: { type: "string", default: "400000" },
    memory: { type: "string", default: "4" },
  },
});

const folder = await mkdtemp(joinPath(tmpdir(), "partd-join-"));
try {
  const [orders, customers] = ["orders.ndjson", "customers.csv"].map((n) => joinPath(folder, n));
  await writeNdjson(randomOrders(Number(values.orders), Number(values.customers)), orders!);
  await writeCsv(randomCustomers(Number(values.customers)), customers!);
  await joinFiles(orders!, customers!, 1e6 * Number(values.memory));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function joinFiles(ordersPath: string, customersPath: string, memory: number): Promise<void> {
  const orders = () => readNdjson<Order>(ordersPath);
  const customers = () => readCsv<Customer>(customersPath);
  const by = { by: "customer", rightBy: "id" } as const;
  let bytesSpilled = 0;
  const onProgress = (progress: { bytesSpilled: number }) => {
    bytesSpilled = progress.bytesSpilled;
  };

  // Each pair is looked at and let go: the result may be larger than memory, too.
  async function* sales(): AsyncGenerator<{ city: string; cents: number }> {
    const pairs = join(orders(), customers(), { ...by, memory, onProgress });
    for await (const [{ cents }, { city }] of pairs) yield { city, cents };
  }
  const select = { orders: count(), cents: sum("cents") };
  const cities = await aggregate(sales(), { by: "city", select, memory }).toArray();

  // Orders of customers that the other file does not have.
  let strangers = 0;
  const without = join(orders(), customers(), { ...by, kind: "anti", memory });
  for await (const batch of without.batches()) strangers += batch.length;

  for (const [city, { orders, cents }] of cities.sort(([, a], [, b]) => b.cents - a.cents)) {
    console.log(`${city}: ${orders} orders of ${(cents / 100).toFixed(2)} in all`);
  }
  const [left, right] = await Promise.all([stat(ordersPath), stat(customersPath)]);
  console.log(`
${strangers} orders of unknown customers
${megabytes(left.size)} of orders, ${megabytes(right.size)} of customers, ${megabytes(memory)} of memory for records
${megabytes(bytesSpilled)} were spilled to a temporary file, which is gone`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
