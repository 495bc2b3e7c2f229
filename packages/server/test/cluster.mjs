// Two workers of node:cluster, each with a server of its own on one port: prints their addresses.
import cluster from "node:cluster";
import { Dict } from "@partd/core";
import { Server } from "@partd/server";

if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork().on("message", (address) => console.log(address));
} else {
  const server = await Server.listen(new Dict());
  process.send?.(server.address);
}
