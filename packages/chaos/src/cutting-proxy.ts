import { connect, createServer, type Server, type Socket } from "node:net";

/** Passes bytes between clients and a server, and is cut when the nemesis says so. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isDown = false;

  static async listen(path: string, target: string): Promise<CuttingProxy> {
    const server = createServer();
    const proxy = new CuttingProxy(server);
    server.on("connection", (client) => proxy.#pass(client, target));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return proxy;
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Cuts all connections, and takes none until {@link heal}. */
  cut(): void {
    this.#isDown = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#isDown = false;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #pass(client: Socket, target: string): void {
    if (this.#isDown) {
      client.destroy();
      return;
    }
    const server = connect(target);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }
}
