import { spawnSync } from "node:child_process";
import { expect, test } from "@jest/globals";

test.each([
  [[], "undefined"],
  [["--input-type=module"], "[]"],
])("a thread of a file starts in a program given by --eval with %j", (flags, execArgv) => {
  const program = `
    const { threadOptions } = await import(${JSON.stringify(import.meta.resolve("@partd/core/author"))});
    const { Worker } = await import("node:worker_threads");
    console.log(JSON.stringify(threadOptions().execArgv) + "");
    new Worker(new URL("data:text/javascript,console.log('runs')"), threadOptions());`;
  const code = flags.length > 0 ? program : `(async () => {${program}})()`;
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, "--eval", code], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(stdout).toBe(`${execArgv}\nruns\n`);
});
