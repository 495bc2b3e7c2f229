// node stops.mjs PATH listen|close|made|bound: a server that stops itself, as by kill -STOP, right before
// the step of listening or closing that changes what is at PATH, or when it has made its hidden folder,
// or its socket in it. Then it says how that ended.
import { writeSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { Dict } from "@partd/core";
import { Server } from "@partd/server";

const [path, when] = process.argv.slice(2);
let armed = when !== "close";
for (const name of ["link", "rename", "unlink"]) {
  const step = promises[name];
  promises[name] = (...paths) => {
    if (paths.at(-1) === path && (when === "listen" || when === "close")) stop();
    return step(...paths);
  };
}
for (const [name, at] of [
  ["mkdtemp", "made"],
  ["chmod", "bound"],
]) {
  const step = promises[name];
  promises[name] = async (...args) => {
    const result = await step(...args);
    if (when === at) stop();
    return result;
  };
}
syncBuiltinESMExports();

try {
  const server = await Server.listen(new Dict(), { address: `ipc://${path}` });
  writeSync(1, "listens\n");
  armed = when === "close";
  if (armed) await server.close();
  if (when === "close") writeSync(1, "closed\n");
} catch (error) {
  writeSync(1, `${error.code}\n`);
}

function stop() {
  if (!armed) return;
  armed = false;
  writeSync(1, "at the step\n");
  process.kill(process.pid, "SIGSTOP");
}
