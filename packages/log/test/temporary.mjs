// Uses a temporary store, tells where it is, and ends without closing it:
//   node temporary.mjs exit|kill
import { LogStore } from "@partd/log";

const store = new LogStore();
await store.append({ x: Buffer.from("1") });
console.log(store.path);
if (process.argv[2] === "exit") process.exit();
process.kill(process.pid, "SIGKILL");
await new Promise(() => {});
