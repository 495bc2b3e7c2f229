import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Dict } from "@partd/core";
import { Server } from "@partd/server";
import { WebSocketServer } from "ws";

/** A server in a process of its own, for one round. */
export interface ServerProcess {
  /** What it printed when it was ready. */
  readonly address: string;
  close(): Promise<void>;
}

/** `partd` serves a `Dict`; `ws` answers each message with one byte, and does nothing else. */
export async function startServer(kind: "partd" | "ws", path: string): Promise<ServerProcess> {
  const program = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [program, kind, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const [address] = (await once(lines, "line")) as [string];
  return { address, close: () => end(child) };
}

/** A Redis without files, on a socket of its own. Debian: `apt-get install redis-server`. */
export async function startRedis(directory: string): Promise<ServerProcess> {
  const path = `${directory}/redis.sock`;
  const options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", options, { cwd: directory, stdio: "ignore" });
  while (!(await connects(path))) await new Promise((resolve) => setTimeout(resolve, 20));
  return { address: path, close: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await exit;
}

function connects(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

async function serve(kind: string | undefined, path: string): Promise<void> {
  if (kind === "partd") {
    const server = await Server.listen(new Dict(), { address: `ipc://${path}` });
    process.once("SIGTERM", () => server.close().then(() => process.exit(0)));
    console.log(server.address);
  } else {
    const { createServer } = await import("node:http");
    const http = createServer();
    const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
    sockets.on("connection", (socket) => {
      socket.on("message", () => socket.send(ANSWER));
    });
    process.once("SIGTERM", () => process.exit(0));
    http.listen(path, () => console.log(path));
  }
}

const ANSWER = new Uint8Array(1);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await serve(process.argv[2], process.argv[3] ?? "");
}
