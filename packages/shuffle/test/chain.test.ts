import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { Chain } from "../src/spill/chain.js";
import { TemporaryFile } from "../src/spill/temporary-file.js";
import { Workspace } from "../src/spill/workspace.js";

let workspace: Workspace;
beforeEach(() => {
  workspace = new Workspace(1e6, new TemporaryFile(undefined));
});
afterEach(() => workspace.close());

function append(chain: Chain, key: string): void {
  const bytes = Buffer.from(`${key}record`);
  chain.append(bytes, 0, key.length, bytes, key.length, bytes.length, 1, 2);
}

test.each([10, 100_000])("whether all keys are the same is known of keys of %d bytes", (length) => {
  const key = "k".repeat(length);
  for (const [other, isUniform] of [
    [key, true],
    [`${key.slice(1)}l`, false],
    [key.slice(1), false],
  ] as const) {
    const chain = workspace.chain();
    append(chain, key);
    append(chain, other);
    expect(chain.isUniform).toBe(isUniform);
  }
});

test("a short key lies in one block", () => {
  const { blockSize } = workspace;
  const chain = workspace.chain();
  const key = "k".repeat(blockSize / 8);
  append(chain, key.repeat(7));
  append(chain, key);
  expect(chain.blocks).toHaveLength(2);
  expect(Buffer.from(chain.blocks[1]!.bytes.subarray(16, 16 + key.length)).toString()).toBe(key);
});
