import { connect, createServer, type Server, type Socket } from "node:net";

export interface Faults {
  readonly random: () => number;
  /** A connection is cut after at most so many bytes. */
  readonly mostBytes: number;
  /** How many connections are cut; later ones live. */
  readonly cuts: number;
}

/** Passes bytes between clients and a server, in other pieces, later, and not for long. */
export class CuttingProxy {
  readonly address: string;
  cuts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async listen(path: string, target: string, faults: Faults): Promise<CuttingProxy> {
    const server = createServer();
    const proxy = new CuttingProxy(server, path);
    server.on("connection", (client) => proxy.#pass(client, target, faults));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return proxy;
  }

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.address = `ipc://${path}`;
  }

  /** Cuts all connections that there are. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cutAll();
    await closed;
  }

  #pass(client: Socket, target: string, faults: Faults): void {
    const { random } = faults;
    const server = connect(target);
    let left = Math.floor(faults.mostBytes * random() ** 3);
    const cut = () => {
      if (!client.destroyed && !server.destroyed) this.cuts++;
      client.destroy();
      server.destroy();
    };
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
      let waiting = Promise.resolve();
      from.on("data", (data) => {
        // Some pieces come late, and with what follows them; some in two parts.
        from.pause();
        waiting = waiting.then(async () => {
          if (random() < 0.1) await later(random() * 3);
          let piece = data;
          if (this.cuts < faults.cuts) {
            piece = data.subarray(0, left);
            left -= piece.byteLength;
          }
          const half = Math.floor(piece.byteLength * random());
          if (!to.destroyed) to.write(piece.subarray(0, half));
          if (random() < 0.2) await later(0);
          if (!to.destroyed) to.write(piece.subarray(half));
          if (piece.byteLength < data.byteLength) cut();
          else from.resume();
        });
      });
    }
  }
}

function later(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
