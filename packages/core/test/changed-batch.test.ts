import { execFileSync } from "node:child_process";
import { expect, test } from "@jest/globals";

test("a value that was transferred is found where resizable ones have been seen, too", () => {
  const program = `${import.meta.dirname}/changed-batch.mjs`;
  const output = execFileSync(process.execPath, [program], { encoding: "utf8" });
  expect(output).toBe("ERR_PARTD_VALUE k1\n");
});
