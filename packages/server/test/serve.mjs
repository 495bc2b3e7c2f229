// node serve.mjs ADDRESS file|log|buffer-file|buffer-log DIRECTORY: a server in a process of its own.
import { BufferStore } from "@partd/buffer";
import { Dict } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import { Server } from "@partd/server";

const [address, kind, directory] = process.argv.slice(2);
const durable = () => (kind.endsWith("log") ? new LogStore(directory) : new FileStore(directory));
const store = kind.startsWith("buffer")
  ? new BufferStore(new Dict(), durable(), { availableMemory: 2e6 })
  : durable();
const server = await Server.listen(store, { address });
process.on("SIGTERM", () => server.close().then(() => process.exit(0)));
console.log(server.address);
