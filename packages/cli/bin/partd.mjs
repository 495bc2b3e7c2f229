#!/usr/bin/env node
// Compiled code is kept between starts where this Node can do so (22.1 and later).
import module from "node:module";

module.enableCompileCache?.();
const { run } = await import("../dist/index.js");
await run(process.argv.slice(2));
