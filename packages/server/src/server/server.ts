import type { Server as HttpServer, IncomingMessage } from "node:http";
import type { ServerOptions as TlsOptions } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type OperationOptions, PartdError, type Store } from "@partd/core";
import {
  checkByteStore,
  checkIntegerOption,
  checkOperation,
  type OptionNames,
  onAbort,
  takeOptions,
  unlessAborted,
} from "@partd/core/author";
import { WebSocketServer } from "ws";
import { type Address, parseAddress } from "../protocol/address.js";
import {
  FORBIDDEN,
  HELLO_WINDOW,
  LONGEST_TIMER,
  Reason,
  SUBPROTOCOL,
} from "../protocol/constants.js";
import { Access } from "./access.js";
import { Census } from "./census.js";
import { Connection } from "./connection.js";
import { type ServerLimits, withDefaults } from "./limits.js";
import { addressOf, httpServer, listenOn } from "./listener.js";
import { Monitor } from "./monitor.js";
import { type Shared, sharedBy } from "./shared.js";
import { type ServerStats, statsOf } from "./stats.js";

export interface ServerOptions {
  /**
   * `ipc://path` for a Unix-domain socket (on Windows a named pipe), `ws://host:port` or
   * `wss://host:port`; port 0 picks a free one. Default `ws://127.0.0.1:0`.
   */
  readonly address?: string | undefined;
  /**
   * A secret that clients have to send. An address that others can reach needs it, or client
   * certificates.
   */
  readonly token?: string | undefined;
  /**
   * For `wss://`: `key` and `cert`; with `requestCert` and `ca`, clients have to present certificates.
   */
  readonly tls?: TlsOptions | undefined;
  /** Allows an address that others can reach without a token or certificates. Default false. */
  readonly insecure?: boolean | undefined;
  /** Origins of pages that may connect besides the server's own: `"https://example.org"`. */
  readonly origins?: readonly string[] | undefined;
  /** Serves a page at `/` that shows rates, memory and the largest keys. Default false. */
  readonly dashboard?: boolean | undefined;
  /**
   * Host names besides its address under which web pages reach the server: `"partd.internal"`. Clients
   * that are not web pages need none.
   */
  readonly hosts?: readonly string[] | undefined;
  /** What clients may take of memory and time: see {@link ServerLimits}. */
  readonly limits?: ServerLimits | undefined;
  /** Whether `close()` closes the store too; if not, it flushes it. Default true. */
  readonly closeStore?: boolean | undefined;
  /**
   * Milliseconds that `close()` gives clients to receive their answers. Default 5,000. The store gets
   * all the time that it needs.
   */
  readonly closeTimeout?: number | undefined;
}

const OPTIONS: OptionNames<ServerOptions> = {
  address: "string",
  token: "string",
  tls: "object",
  insecure: "boolean",
  origins: "strings",
  dashboard: "boolean",
  hosts: "strings",
  limits: "object",
  closeStore: "boolean",
  closeTimeout: true,
};

const CODEC_ADVICE =
  "serve the store below it, and put the codec around the client, as in new Json(new Client(address))";

/**
 * Gives a store to other processes and machines, whose `Client`s are stores like any other.
 *
 * @example
 * await using server = await Server.listen(new Dict(), { address: "ipc://shuffle.sock" });
 */
export class Server implements AsyncDisposable {
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #shared: Shared;
  readonly #access: Access;
  readonly #options: ServerOptions;
  readonly #closeTimeout: number;
  readonly #connections = new Set<Connection>();
  /** Every network socket, so that none outlives the server. */
  readonly #carriers = new Set<Socket>();
  readonly #carriersByPeer = new Map<string, Socket>();
  /** Sockets whose client has not said HELLO, oldest first, with the time from which its limit counts. */
  readonly #strangers = new Map<Socket, number>();
  /** Sockets whose plain HTTP request is being answered. */
  readonly #answering = new WeakSet<Socket>();
  #address = "";
  #unlist: () => Promise<void> = async () => {};
  #ticks: ReturnType<typeof setInterval> | undefined;
  /** When the last tick ran, and whether it judged no connection. */
  #ticked = { at: 0, passed: false };
  #leaving = false;
  #closing: Promise<void> | undefined;
  /** Aborted when `close` should no longer wait for clients. */
  readonly #hurry = new AbortController();
  #whenEmpty: (() => void) | undefined;

  /**
   * Opens the store and begins to listen.
   *
   * @throws `ERR_PARTD_CONNECTION` if `address` is not an address; `ERR_PARTD_IO` if it is taken;
   *   `ERR_PARTD_AUTH` if others can reach it and need neither token nor certificate; `ERR_PARTD_VALUE` for
   *   an option that is unknown or out of range, or a store that is not of bytes; and what the store throws
   *   when it is opened.
   */
  static async listen(store: Store, given: ServerOptions = {}): Promise<Server> {
    checkByteStore("Server.listen", store, CODEC_ADVICE);
    const options = takeOptions("Server.listen", given, OPTIONS);
    const target = parseAddress(options.address ?? "ws://127.0.0.1:0");
    const { token, insecure, origins, hosts, tls } = options;
    const limits = withDefaults(options.limits ?? {});
    const http = httpServer(target, tls, {
      headersTimeout: limits.stall,
      requestTimeout: limits.stall,
      connectionsCheckingInterval: Math.max(100, Math.min(5_000, limits.stall / 4)),
    });
    // Without `ca`, a certificate of any authority that Node knows would do, and everyone can have one.
    const asked = tls?.requestCert === true && tls.rejectUnauthorized !== false;
    const certificates = asked && tls.ca !== undefined;
    const access = new Access(target, { token, insecure, origins, hosts, certificates });
    const census = new Census(await isEmpty(store));
    const server = new Server(http, sharedBy(store, limits, census, access), access, options);
    await server.#listen(target);
    return server;
  }

  private constructor(http: HttpServer, shared: Shared, access: Access, options: ServerOptions) {
    this.#http = http;
    this.#shared = shared;
    this.#access = access;
    this.#options = options;
    const { closeTimeout = 5_000 } = options;
    this.#closeTimeout = checkIntegerOption("closeTimeout", closeTimeout, 0, LONGEST_TIMER);
    const socketOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false, // It costs memory; a store with a compression does this better.
      maxPayload: shared.limits.message,
      // A message in 200,000 pieces took 100 MB, and its end blocked the loop for 20 s. The least
      // segment of TCP is 536 bytes.
      maxBufferedChunks: Math.max(1_024, Math.floor(shared.limits.message / 512)),
      closeTimeout: 2_000, // The published types lack these.
      handleProtocols: (names: Set<string>) => (names.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    } as const;
    this.#sockets = new WebSocketServer(socketOptions);
    const monitor = new Monitor(access, options.dashboard ?? false, () => this.stats());
    http.on("connection", (socket) => this.#accept(socket));
    http.on("request", (request, response) => {
      const { socket } = request;
      // A client that pipelines requests without reading would have all answers made and kept at once.
      if (this.#answering.has(socket)) {
        socket.destroy();
        return;
      }
      this.#answering.add(socket);
      response.once("finish", () => this.#answering.delete(socket));
      this.#meet(this.#carrierOf(socket));
      void monitor.answer(request, response);
    });
    http.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    http.on("clientError", (_error, socket) => socket.destroy());
  }

  /** The address for clients: with the port that was picked, and the full path of a socket. */
  get address(): string {
    return this.#address;
  }

  /** The present state, and totals since the start. */
  stats(): ServerStats {
    return statsOf(this.#shared, this.#connections);
  }

  /**
   * Accepts nothing new, gives clients up to `closeTimeout` to receive the answers to what they have
   * sent, then flushes the store and closes it, however long that takes, so that nothing is lost. If
   * the flush fails, so does `close`, and it can be tried again.
   *
   * @param options.signal ends the clients' time at once. If the store takes longer, `close` rejects
   *   with the signal's reason, while the store goes on to flush and close; another `close()` waits for
   *   it, and rejects if the flush fails.
   */
  async close(options: OperationOptions = {}): Promise<void> {
    checkOperation("close", options);
    const { signal } = options;
    if (signal?.aborted) this.#hurry.abort();
    const forget = signal && onAbort(signal, () => this.#hurry.abort());
    this.#closing ??= this.#close().catch((error: unknown) => {
      this.#closing = undefined;
      throw error;
    });
    return unlessAborted(this.#closing, signal).finally(forget);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    if (!this.#leaving) {
      this.#leaving = true;
      await this.#unlist(); // Done while the socket still answers, so that no other server replaces it.
      const ended = new Promise<void>((resolve) => this.#http.close(() => resolve()));
      await this.#sayGoodbye();
      for (const socket of this.#carriers) socket.destroy();
      await ended;
      clearInterval(this.#ticks);
      this.#shared.sessions.clear();
    }
    const { store } = this.#shared;
    await (this.#options.closeStore === false ? store.flush() : store.close());
  }

  async #sayGoodbye(): Promise<void> {
    for (const connection of [...this.#connections]) {
      if (connection.isWelcomed) connection.goodbye(Reason.CLOSING);
      else connection.end();
    }
    if (this.#connections.size === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#whenEmpty = resolve;
      }),
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, this.#closeTimeout);
        if (this.#hurry.signal.aborted) resolve();
        else this.#hurry.signal.addEventListener("abort", () => resolve(), { once: true });
      }),
    ]);
    clearTimeout(timer);
    for (const connection of [...this.#connections]) connection.end();
  }

  /** Clients may connect before this resolves, so call it when everything that answers them is in place. */
  async #listen(target: Address): Promise<void> {
    this.#unlist = await listenOn(this.#http, target);
    this.#address = addressOf(target, this.#http);
    const { stall, ping, idle } = this.#shared.limits;
    const interval = Math.max(20, Math.min(stall, ping, idle, 4_000) / 4);
    this.#ticked.at = performance.now();
    this.#ticks = setInterval(() => this.#tick(interval), interval);
    this.#ticks.unref();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const denial = this.#denial(request);
    if (denial !== undefined) {
      this.#shared.counters.refused++;
      const [status, reason] = denial;
      const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\n`;
      // Do not wait for the peer, which may keep its half open for any time.
      socket.end(`${head}Content-Length: ${reason.length}\r\n\r\n${reason}`, () =>
        socket.destroy(),
      );
      return;
    }
    const refusal = this.#access.pageRefusal(request);
    if (refusal !== undefined) {
      // A page cannot see an HTTP status, only the code and reason with which a WebSocket closes.
      this.#shared.counters.refused++;
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on("error", () => webSocket.terminate());
        webSocket.close(FORBIDDEN, refusal.slice(0, 120));
      });
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const shared = this.#shared;
      const connection = new Connection(shared, webSocket, request.socket);
      this.#connections.add(connection);
      shared.counters.connections++;
      webSocket.binaryType = "fragments";
      // Before HELLO a client must not make us hold more than a HELLO.
      let early = 0;
      const guard = (chunk: Buffer) => {
        early += chunk.byteLength;
        if (connection.isWelcomed) {
          socket.off("data", guard);
          this.#strangers.delete(this.#carrierOf(request.socket));
        } else if (early > HELLO_WINDOW) webSocket.terminate();
      };
      socket.on("data", guard);
      webSocket.on("message", (data, isBinary) => {
        if (isBinary) connection.receive(data as Buffer[]);
        else connection.fail(new PartdError("ERR_PARTD_PROTOCOL", "Messages are binary."));
      });
      webSocket.on("error", (error) => {
        connection.fail(
          new PartdError("ERR_PARTD_PROTOCOL", `No WebSocket message: ${error.message}`),
        );
      });
      webSocket.on("close", () => {
        connection.closed();
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#whenEmpty?.();
      });
    });
  }

  /** The HTTP status and the reason with which an upgrade is denied, or `undefined`. */
  #denial(request: IncomingMessage): readonly [string, string] | undefined {
    if (this.#leaving) return ["503 Service Unavailable", "The server is closing."];
    if (request.url !== "/") return ["404 Not Found", "Clients connect at the path /."];
    const { limits, windows } = this.#shared;
    if (windows.count >= limits.connections) {
      return ["503 Service Unavailable", `It has its ${limits.connections} limits.connections.`];
    }
    // No regular expression with \s*: 15 kB of spaces would take it 200 ms.
    const offered = request.headers["sec-websocket-protocol"]?.split(",") ?? [];
    if (offered.some((name) => name.trim() === SUBPROTOCOL)) return undefined;
    return [
      "400 Bad Request",
      `It speaks ${SUBPROTOCOL}; use a release of @partd/server that does.`,
    ];
  }

  #accept(socket: Socket): void {
    const peer = peerOf(socket);
    this.#carriers.add(socket);
    this.#carriersByPeer.set(peer, socket);
    socket.once("close", () => {
      this.#carriers.delete(socket);
      if (this.#carriersByPeer.get(peer) === socket) this.#carriersByPeer.delete(peer);
      this.#strangers.delete(socket);
    });
    this.#meet(socket);
    for (const oldest of this.#strangers.keys()) {
      if (this.#strangers.size <= this.#shared.limits.strangers) break;
      this.#strangers.delete(oldest);
      oldest.destroy();
    }
  }

  /** The network socket of a request; with TLS, the one below. */
  #carrierOf(socket: Socket): Socket {
    if (this.#carriers.has(socket)) return socket;
    return this.#carriersByPeer.get(peerOf(socket)) ?? socket;
  }

  /** Starts the time limit for HELLO. */
  #meet(socket: Socket): void {
    if (!this.#carriers.has(socket)) return; // It is closed already.
    this.#strangers.delete(socket);
    this.#strangers.set(socket, performance.now());
  }

  #tick(interval: number): void {
    const now = performance.now();
    // This process stood still, so peers seem silent whose packets are only unread: read them first.
    const passed = now - this.#ticked.at > 2 * interval && !this.#ticked.passed;
    this.#ticked = { at: now, passed };
    if (passed) return;
    for (const [socket, since] of this.#strangers) {
      if (now - since <= this.#shared.limits.stall) break;
      socket.destroy();
    }
    for (const connection of this.#connections) connection.tick(now);
  }
}

/** Opens the store. @returns whether it is empty, so that the census will know all its bytes. */
async function isEmpty(store: Store): Promise<boolean> {
  for await (const _ of store.keys()) return false;
  return true;
}

/** Names a peer. A TLS socket and the network socket below it have the same name. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
