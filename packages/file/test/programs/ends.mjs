// Appends, and ends without closing its store: neither the store nor its lock keeps it alive.
//
//   ends.mjs DIRECTORY
import { FileStore } from "@partd/file";

const store = new FileStore(process.argv[2]);
await store.append({ x: Buffer.from("3") });
