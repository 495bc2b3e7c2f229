import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";

test.each(["file", "log"])(
  "each call of the file system fails in turn below, in a %s store, while keys are removed: each is whole or gone",
  (below) => {
    const directory = mkdtempSync(join(tmpdir(), "partd-buffer-test-"));
    const program = join(import.meta.dirname, "disk-faults.mjs");
    const thorough = process.env["PARTD_FAULTS"] === "all" ? ["all", "thorough"] : [];
    try {
      const told = execFileSync(process.execPath, [program, directory, below, ...thorough]);
      expect(String(told)).toMatch(/^\d{2,} faults\n$/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);
