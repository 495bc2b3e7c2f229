import { connect, createServer, type Server, type Socket } from "node:net";

/** Passes bytes between clients and a server, in other pieces, and cuts connections anywhere. */
export class CuttingProxy {
  readonly url: string;
  cuts = 0;
  readonly #most: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @param most how many connections are cut; later ones live. */
  static async listen(path: string, target: string, most: number): Promise<CuttingProxy> {
    const server = createServer();
    const proxy = new CuttingProxy(server, path, most);
    server.on("connection", (client) => proxy.#pass(client, target));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return proxy;
  }

  private constructor(server: Server, path: string, most: number) {
    this.#server = server;
    this.#most = most;
    this.url = `unix://${path}`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #pass(client: Socket, target: string): void {
    const server = connect(target);
    // Some live for a few bytes, some for a few hundred batches.
    let left = Math.floor(400_000 * Math.random() ** 3) + 200;
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
      from.on("data", (data) => {
        if (this.cuts >= this.#most) {
          to.write(data);
          return;
        }
        const piece = data.subarray(0, Math.max(0, left));
        left -= data.byteLength;
        if (left >= 0) {
          to.write(piece);
          return;
        }
        // What was let through is read, and its answer lost.
        if (!from.destroyed && !to.destroyed) this.cuts++;
        to.end(piece);
        from.destroy();
      });
    }
  }
}
