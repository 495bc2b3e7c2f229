import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { randomCustomers, randomOrders } from "../dist/sales.js";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));

test("two files, each larger than the memory given, give what two Maps give", () => {
  const [orders, customers] = [30_000, 60_000];
  const temporary = mkdtempSync(join(tmpdir(), "partd-join-test-"));
  try {
    const words = ["--orders", orders, "--customers", customers, "--memory", 1].map(String);
    const env = { ...process.env, TMPDIR: temporary };
    const { stdout, stderr } = spawnSync(process.execPath, [main, ...words], {
      encoding: "utf8",
      env,
    });
    expect(stderr).toBe("");
    const [cities, summary = ""] = stdout.split("\n\n");
    expect(cities).toBe(expected(orders, customers));
    expect(Number(/^([\d.]+) MB were spilled/m.exec(summary)?.[1])).toBeGreaterThan(1);
    for (const megabytes of summary.match(/[\d.]+(?= MB of (orders|customers))/g) ?? []) {
      expect(Number(megabytes)).toBeGreaterThan(1);
    }
    expect(readdirSync(temporary)).toEqual([]);
  } finally {
    rmSync(temporary, { recursive: true });
  }
});

function expected(orders: number, customers: number): string {
  const cityOf = new Map([...randomCustomers(customers)].map(({ id, city }) => [id, city]));
  const cities = new Map<string, { orders: number; cents: number }>();
  for (const { customer, cents } of randomOrders(orders, customers)) {
    const city = cityOf.get(customer);
    if (city === undefined) continue;
    const sum = cities.get(city) ?? { orders: 0, cents: 0 };
    cities.set(city, { orders: sum.orders + 1, cents: sum.cents + cents });
  }
  return [...cities]
    .sort(([, a], [, b]) => b.cents - a.cents)
    .map(([city, sum]) => `${city}: ${sum.orders} orders of ${(sum.cents / 100).toFixed(2)} in all`)
    .join("\n");
}
