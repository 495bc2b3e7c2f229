import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Dict } from "@partd/core";
import { Server } from "@partd/server";
import { WebSocketServer } from "ws";

/** A server in a process of its own. */
export interface ServerProcess {
  /** What it printed when it was ready. */
  readonly address: string;
}

/**
 * `partd` serves a `Dict`; `ws` answers each message with one byte, and does nothing else; `ws
 * source` answers it with as many bytes as it asks for, in messages of 1 MB. It serves all rounds of a side, as a
 * server does, and ends with its process.
 */
export function startServer(kind: "partd" | "ws" | "ws source"): Promise<ServerProcess> {
  running ??= start(kind);
  return running;
}

let running: Promise<ServerProcess> | undefined;

async function start(kind: string): Promise<ServerProcess> {
  const directory = await mkdtemp(join(tmpdir(), "partd-bench-"));
  const program = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [program, kind, join(directory, "s")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [address] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  child.unref();
  for (const stream of [child.stdin, child.stdout]) (stream as unknown as Socket).unref();
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  return { address };
}

/** A Redis without files, on a socket of its own. Debian: `apt-get install redis-server`. */
export function startRedis(): Promise<ServerProcess> {
  running ??= startRedisIn(mkdtempSync(join(tmpdir(), "partd-bench-")));
  return running;
}

async function startRedisIn(directory: string): Promise<ServerProcess> {
  const path = join(directory, "redis.sock");
  const options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", options, { cwd: directory, stdio: "ignore" });
  child.unref();
  process.once("exit", () => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  while (!(await connects(path))) await new Promise((resolve) => setTimeout(resolve, 20));
  return { address: path };
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
  process.stdin.on("end", () => process.exit(0)).resume(); // Whoever started it is gone.
  if (kind === "partd") {
    const server = await Server.listen(new Dict(), { address: `ipc://${path}` });
    console.log(server.address);
  } else {
    const { createServer } = await import("node:http");
    const http = createServer();
    const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
    sockets.on("connection", (socket) => {
      socket.on("message", (asked: Buffer) => {
        if (kind === "ws") socket.send(ANSWER);
        else for (let i = 0; i < Number(asked); i += MEGABYTE.byteLength) socket.send(MEGABYTE);
      });
    });
    http.listen(path, () => console.log(path));
  }
}

const MEGABYTE = new Uint8Array(1_000_000);
const ANSWER = new Uint8Array(1);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await serve(process.argv[2], process.argv[3] ?? "");
}
