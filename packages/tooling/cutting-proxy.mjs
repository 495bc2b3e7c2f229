import { connect, createServer } from "node:net";

/** Passes bytes between clients and a server on socket files, and cuts connections. */
export class CuttingProxy {
  path;
  cuts = 0;
  #server = createServer();
  #sockets = new Set();
  #isDown = false;
  #options;

  static async listen(path, target, options = {}) {
    const proxy = new CuttingProxy(path, options);
    proxy.#server.on("connection", (client) => proxy.#pass(client, target));
    await new Promise((resolve) => proxy.#server.listen(path, resolve));
    return proxy;
  }

  constructor(path, { mostBytes = 0, cuts = 0, random = Math.random, dribbles = false }) {
    this.path = path;
    this.#options = { mostBytes, cuts, random, dribbles };
  }

  cutAll() {
    for (const socket of this.#sockets) socket.destroy();
  }

  down() {
    this.#isDown = true;
    this.cutAll();
  }

  up() {
    this.#isDown = false;
  }

  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cutAll();
    await closed;
  }

  #pass(client, target) {
    if (this.#isDown) return void client.destroy();
    const { mostBytes, cuts, random, dribbles } = this.#options;
    const server = connect(target);
    // Mostly early, as a connection that lives long has little that is special.
    let left = Math.floor(mostBytes * random() ** 3);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ]) {
      this.#sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      let waiting = Promise.resolve();
      from.on("data", (data) => {
        from.pause();
        waiting = waiting.then(async () => {
          if (dribbles && random() < 0.1) await later(random() * 3);
          let piece = data;
          if (this.cuts < cuts) {
            piece = data.subarray(0, left);
            left -= piece.byteLength;
          }
          const half = dribbles ? Math.floor(piece.byteLength * random()) : 0;
          if (half > 0 && !to.destroyed) to.write(piece.subarray(0, half));
          if (dribbles && random() < 0.2) await later(0);
          if (!to.destroyed) to.write(piece.subarray(half));
          if (piece.byteLength === data.byteLength) {
            from.resume();
            return;
          }
          // The other side may read what was let through; its answer is lost.
          if (!from.destroyed && !to.destroyed) this.cuts++;
          from.destroy();
        });
      });
    }
  }
}

function later(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
