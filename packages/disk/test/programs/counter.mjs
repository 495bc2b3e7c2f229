// node counter.mjs FOLDER FILE TIMES: adds one to the number in FILE, TIMES times, alone each time.
import { readFileSync, writeFileSync } from "node:fs";
import { DirectoryLock } from "../../dist/index.js";

const [folder, file, times] = process.argv.slice(2);
const lock = new DirectoryLock({ directory: folder, folder });
const shared = new DirectoryLock({ directory: folder, folder });
let odd = 0;
for (let i = 0; i < Number(times); i++) {
  await lock.hold("exclusive", {}, async () => {
    const count = Number(readFileSync(file, "utf8"));
    writeFileSync(file, "0.5");
    await new Promise(setImmediate);
    writeFileSync(file, String(count + 1));
  });
  await shared.hold("shared", {}, async () => {
    if (readFileSync(file, "utf8") === "0.5") odd++;
  });
  if (i === 0) console.log("ready");
}
await lock.close();
await shared.close();
console.log(`odd ${odd}`);
