import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Snappy } from "@partd/compress-snappy";
import { Dict, type Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { type DataSet, type StoreContractOptions, storeContract } from "@partd/testing";

/** A few keys of a few bytes fit: most programs spill, and their larger appends go straight through. */
const TINY = 3000;
/** A few hundred keys fit. */
const SMALL = 100_000;

function contract(
  name: string,
  slow: (dataSet: DataSet) => Store,
  availableMemory: number,
  options?: StoreContractOptions,
): void {
  describe(`the store contract: ${name}, ${availableMemory} bytes`, () => {
    const open = (set: DataSet) => new BufferStore(new Dict(), slow(set), { availableMemory });
    for (const c of storeContract(open, options)) test(c.name, c.run);
  });
}

function folder({ name, onEnd }: DataSet): string {
  const path = join(tmpdir(), `partd-buffer-${name}`);
  onEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

contract("over a Dict", () => new Dict(), 1e9);
contract("over a Dict", () => new Dict(), SMALL, { numRuns: 30 });
contract("over a Dict", () => new Dict(), TINY, { numRuns: 100 });

const onDisk = { persistent: true, manyKeys: 200, largestValue: 2 ** 20, numRuns: 4 };
contract("over a FileStore", (set) => new FileStore(folder(set)), SMALL, onDisk);
contract("over a FileStore", (set) => new FileStore(folder(set)), TINY, onDisk);
contract("over a LogStore", (set) => new LogStore(folder(set)), SMALL, onDisk);
contract("over a LogStore", (set) => new LogStore(folder(set)), TINY, onDisk);
contract("over Snappy over a FileStore", (set) => new Snappy(new FileStore(folder(set))), SMALL, {
  ...onDisk,
  compressed: true,
});
