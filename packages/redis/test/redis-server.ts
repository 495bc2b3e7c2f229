import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@redis/client";
import { realPart } from "tooling/real-part";

/** A real server, with a folder and, unless it is in a cluster, a Unix-domain socket of its own. */
export class RedisServer {
  readonly folder: string;
  readonly port: number;
  readonly url: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  /** @param port 0 for a socket alone. */
  private constructor(folder: string, port: number, args: readonly string[]) {
    this.folder = folder;
    this.port = port;
    this.url = port === 0 ? `unix://${join(folder, "socket")}` : `redis://127.0.0.1:${port}`;
    this.#args = args;
  }

  static async start(args: readonly string[] = [], port = 0): Promise<RedisServer> {
    const server = new RedisServer(mkdtempSync(join(tmpdir(), "partd-redis-")), port, args);
    await server.restart();
    return server;
  }

  get pid(): number {
    return this.#process?.pid as number;
  }

  get isRunning(): boolean {
    const child = this.#process;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /**
   * Starts it, again and empty if it has ended without a SAVE.
   *
   * @param more arguments, this time.
   * @param when it says this, it has started.
   */
  async restart(
    more: readonly string[] = [],
    when = /ready to accept connections/i,
  ): Promise<void> {
    const { folder, port } = this;
    const program = realPart.redisServer().command as string;
    const common = ["--save", "", "--appendonly", "no", "--dir", folder, "--bind", "127.0.0.1"];
    const socket = ["--unixsocket", join(folder, "socket"), "--unixsocketperm", "700"];
    const args = [...common, "--port", String(port), ...socket, ...this.#args, ...more];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    let said = "";
    await new Promise<void>((resolve, reject) => {
      const read = (data: Buffer) => {
        said += String(data);
        if (when.test(said)) resolve();
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.on("exit", () => reject(new Error(`redis-server has ended:\n${said}`)));
      child.on("error", reject);
    });
  }

  /** What redis-cli would do. */
  async command(...words: string[]): Promise<unknown> {
    const client = createClient({ socket: { path: join(this.folder, "socket"), tls: false } });
    client.on("error", () => {});
    await client.connect();
    try {
      return await client.sendCommand(words);
    } finally {
      client.destroy();
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || !this.isRunning) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.removeAllListeners("error");
    child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A port that is free now, and whose bus port (10,000 higher) is, too. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(20_000 * Math.random());
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
