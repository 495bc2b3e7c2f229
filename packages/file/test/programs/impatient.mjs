// Waits for the lock for a moment, gives up, and has nothing more to do.
//
//   impatient.mjs DIRECTORY
import { FileStore } from "@partd/file";

const store = new FileStore(process.argv[2]);
const signal = AbortSignal.timeout(50);
const outcomes = await Promise.allSettled([
  store.get("x", { signal }),
  store.append({ x: new Uint8Array(1) }, { signal }),
]);
console.log(outcomes.map(({ reason }) => reason?.name).join(" "));
