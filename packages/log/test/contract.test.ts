import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { storeContract } from "@partd/testing";

const root = mkdtempSync(join(tmpdir(), "log-contract-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("the store contract", () => {
  const cases = storeContract((dataSet) => new LogStore(join(root, dataSet.name)), {
    persistent: true,
    shared: true,
    openBroken: (dataSet) => {
      mkdirSync(root, { recursive: true });
      const path = join(root, dataSet.name);
      writeFileSync(path, "a file");
      return new LogStore(path);
    },
  });
  for (const { name, run } of cases) test(name, run);
});

describe("the store contract, with fsync in small segments", () => {
  const cases = storeContract(
    (dataSet) => new LogStore(join(root, dataSet.name), { segmentSize: 2_000, fsync: true }),
    { persistent: true, shared: true, largestValue: 5_000_000, manyKeys: 1_000 },
  );
  for (const { name, run } of cases) test(name, run);
});
