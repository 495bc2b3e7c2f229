// Has the lock of a folder, in a worker or a process, until that is ended.
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { DirectoryLock } from "../../dist/index.js";

const { folder, mode } = isMainThread
  ? { folder: process.argv[2], mode: process.argv[3] }
  : workerData;
const lock = new DirectoryLock({ directory: folder, folder });
await lock.take(mode);
if (isMainThread) console.log("held");
else parentPort.postMessage("held");
setInterval(() => {}, 1000);
