import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "@jest/globals";
import { FileStore } from "@partd/file";
import { type DataSet, storeContract } from "@partd/testing";

function pathOf({ name, onEnd }: DataSet): string {
  const path = join(tmpdir(), `partd-file-${name}`);
  onEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

describe("the store contract", () => {
  const open = (dataSet: DataSet) => new FileStore(pathOf(dataSet));
  const openBroken = (dataSet: DataSet) => {
    const path = pathOf(dataSet);
    writeFileSync(path, "a file where the directory should be");
    return new FileStore(path);
  };
  for (const c of storeContract(open, { persistent: true, shared: true, openBroken })) {
    test(c.name, c.run);
  }
});

describe("the store contract, with fsync and few open files", () => {
  const open = (dataSet: DataSet) =>
    new FileStore(pathOf(dataSet), { fsync: true, maxOpenFiles: 8 });
  const options = { persistent: true, shared: true, manyKeys: 100, largestValue: 2 ** 20 };
  for (const c of storeContract(open, { ...options, numRuns: 5 })) test(c.name, c.run);
});
