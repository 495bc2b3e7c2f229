// Makes a temporary store, tells where it is, and ends as it is told: "exit", "throw" or not at all.
//
//   temporary.mjs HOW
import { writeSync } from "node:fs";
import { FileStore } from "@partd/file";

const store = new FileStore();
await store.append({ x: Buffer.from("1") });
writeSync(1, `${store.path}\n`);
switch (process.argv[2]) {
  case "end":
    break;
  case "exit":
    process.exit(0);
    break;
  case "throw":
    throw new Error("on purpose");
  default:
    process.stdin.resume();
}
