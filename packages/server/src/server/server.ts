import { createServer, type Server as HttpServer, type IncomingMessage } from "node:http";
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { PartdError, type Store } from "@partd/core";
import { WebSocketServer } from "ws";
import { Monitor } from "../dashboard/monitor.js";
import { type Address, parseAddress } from "../protocol/address.js";
import { Spares } from "../protocol/message-writer.js";
import { HELLO_WINDOW, Reason, SUBPROTOCOL } from "../protocol/numbers.js";
import { Access } from "./access.js";
import { Budget, Windows } from "./budget.js";
import { Census } from "./census.js";
import { Connection } from "./connection.js";
import { type Limits, type ServerLimits, withDefaults } from "./limits.js";
import { listenOnFile } from "./listener.js";
import { SPARE_BYTES } from "./outbox.js";
import { Sessions } from "./session.js";
import { Counters, type Shared } from "./shared.js";
import { type ServerStats, statsOf } from "./stats.js";

export interface ServerOptions {
  /**
   * `ipc://path` for a Unix-domain socket (on Windows a named pipe), `ws://host:port` or
   * `wss://host:port`; port 0 picks a free one. Default `ws://127.0.0.1:0`.
   */
  readonly address?: string | undefined;
  /** What clients have to know. Needed, or client certificates, where others can reach the address. */
  readonly token?: string | undefined;
  /** For `wss://`: `key` and `cert`, and with `requestCert` and `ca` certificates of clients, too. */
  readonly tls?: TlsOptions | undefined;
  /** Listens where others can reach it, and asks them for nothing. Default false. */
  readonly insecure?: boolean | undefined;
  /** Origins of pages that may connect besides the server's own: `"https://example.org"`. */
  readonly origins?: readonly string[] | undefined;
  /** Serves a page at `/` that shows what goes on. Default false. */
  readonly dashboard?: boolean | undefined;
  readonly limits?: ServerLimits | undefined;
  /** Whether `close()` closes the store too; if not, it flushes it. Default true. */
  readonly closeStore?: boolean | undefined;
  /** Milliseconds that `close()` leaves clients to receive their answers. Default 5,000. */
  readonly closeTimeout?: number | undefined;
}

/**
 * Gives a store to other processes and machines, whose `Client`s are stores like any other.
 *
 * @example
 * await using server = await Server.listen(new Dict(), { address: "ipc://shuffle.sock" });
 */
export class Server implements AsyncDisposable {
  /** Where clients reach it: with the port that was picked, and the full path of a socket. */
  readonly address: string;
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #shared: Shared;
  readonly #access: Access;
  readonly #options: ServerOptions;
  readonly #connections = new Set<Connection>();
  readonly #ticks: ReturnType<typeof setInterval>;
  readonly #unlist: () => Promise<void>;
  #leaving = false;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  /**
   * Opens the store and begins to listen.
   *
   * @throws `ERR_PARTD_IO` if the address is taken, `ERR_PARTD_AUTH` if it is not a safe one, and
   *   whatever keeps the store from being opened.
   */
  static async listen(store: Store, options: ServerOptions = {}): Promise<Server> {
    const target = parseAddress(options.address ?? "ws://127.0.0.1:0");
    const { token, insecure, origins, tls } = options;
    const certificates = tls?.requestCert === true && tls.rejectUnauthorized !== false;
    const access = new Access(target, { token, insecure, origins, certificates });
    const limits = withDefaults(options.limits ?? {});
    if (target.kind === "wss" && !tls) {
      throw new PartdError("ERR_PARTD_IO", "A wss:// server needs tls: { key, cert }.");
    }
    const census = new Census(await isEmpty(store));
    const timeouts = {
      headersTimeout: limits.stall,
      requestTimeout: limits.stall,
      connectionsCheckingInterval: Math.max(100, Math.min(5_000, limits.stall / 4)),
    };
    const http =
      target.kind === "wss" ? createTlsServer({ ...tls, ...timeouts }) : createServer(timeouts);
    // Some more than the limit, so that those above it can be told.
    http.maxConnections = limits.connections + 64;
    const unlist = await listenOn(http, target);
    return new Server(
      http,
      unlist,
      target,
      sharedBy(store, limits, census, access),
      access,
      options,
    );
  }

  private constructor(
    http: HttpServer,
    unlist: () => Promise<void>,
    target: Address,
    shared: Shared,
    access: Access,
    options: ServerOptions,
  ) {
    this.#http = http;
    this.#unlist = unlist;
    this.#shared = shared;
    this.#access = access;
    this.#options = options;
    this.address = addressOf(target, http);
    const socketOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false, // Values are mostly compressed by a decorator, and it costs memory.
      maxPayload: shared.limits.message,
      closeTimeout: 2_000, // Not among the published types.
      handleProtocols: (names: Set<string>) => (names.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    } as const;
    this.#sockets = new WebSocketServer(socketOptions);
    const monitor = new Monitor(access, options.dashboard ?? false, () => this.stats());
    http.on("request", (request, response) => void monitor.answer(request, response));
    http.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    http.on("clientError", (_error, socket) => socket.destroy());
    const { stall, ping, idle } = shared.limits;
    const interval = Math.max(20, Math.min(stall, ping, idle, 4_000) / 4);
    this.#ticks = setInterval(() => this.#tick(), interval);
    this.#ticks.unref();
  }

  /** What goes on, and what was done since the start. */
  stats(): ServerStats {
    return statsOf(this.#shared, this.#connections);
  }

  /**
   * Accepts nothing new, gives clients the answers to what they have sent, flushes the store and
   * closes it. If the flush fails, so does `close`, and it can be tried again.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close().catch((error: unknown) => {
      this.#closing = undefined;
      throw error;
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    if (!this.#leaving) {
      this.#leaving = true;
      const ended = new Promise<void>((resolve) => this.#http.close(() => resolve()));
      await this.#unlist();
      await this.#sayGoodbye();
      this.#http.closeAllConnections();
      await ended;
      clearInterval(this.#ticks);
      this.#shared.sessions.clear();
    }
    const { store } = this.#shared;
    await (this.#options.closeStore === false ? store.flush() : store.close());
  }

  async #sayGoodbye(): Promise<void> {
    for (const connection of [...this.#connections]) {
      if (connection.welcomed) connection.goodbye(Reason.CLOSING);
      else connection.end();
    }
    if (this.#connections.size === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#whenEmpty = resolve;
      }),
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, this.#options.closeTimeout ?? 5_000);
      }),
    ]);
    clearTimeout(timer);
    for (const connection of [...this.#connections]) connection.end();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const status = this.#refusal(request);
    if (status !== undefined) {
      this.#shared.counters.refused++;
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const shared = this.#shared;
      const remote = request.socket.remoteAddress ?? "ipc";
      const connection = new Connection(shared, webSocket, request.socket, remote);
      this.#connections.add(connection);
      shared.counters.connections++;
      webSocket.binaryType = "fragments";
      // Until it has said who it is, a client may not make us hold more than a hello.
      let early = 0;
      const guard = (chunk: Buffer) => {
        early += chunk.byteLength;
        if (connection.welcomed) socket.off("data", guard);
        else if (early > HELLO_WINDOW) webSocket.terminate();
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

  /** Why a connection is turned away, as an HTTP status. */
  #refusal(request: IncomingMessage): string | undefined {
    if (this.#leaving) return "503 Service Unavailable";
    if (request.url !== "/") return "404 Not Found";
    if (!this.#access.allowsPage(request)) return "403 Forbidden";
    const { limits, windows } = this.#shared;
    if (Math.max(this.#connections.size, windows.count) >= limits.connections) {
      return "503 Service Unavailable";
    }
    const offered = request.headers["sec-websocket-protocol"]?.split(/\s*,\s*/) ?? [];
    if (!offered.includes(SUBPROTOCOL)) return "400 Bad Request";
    return undefined;
  }

  #tick(): void {
    const now = performance.now();
    for (const connection of this.#connections) connection.tick(now);
  }
}

function sharedBy(store: Store, limits: Limits, census: Census, access: Access): Shared {
  return {
    store,
    limits,
    census,
    started: Date.now(),
    instance: crypto.getRandomValues(new Uint8Array(16)),
    sessions: new Sessions(limits.session),
    windows: new Windows(limits.inFlight, limits.inFlightPerConnection, limits.connections),
    uploads: new Budget(Math.max(limits.uploads, limits.request)),
    backlog: { bytes: 0, most: limits.answers * 64 },
    spares: new Spares(SPARE_BYTES, 16),
    counters: new Counters(),
    checkToken: (token) => access.checkToken(token),
  };
}

async function listenOn(http: HttpServer, target: Address): Promise<() => Promise<void>> {
  if (target.kind === "ipc") return listenOnFile(http, target.path);
  const { host, port } = target;
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(
        new PartdError("ERR_PARTD_IO", `Cannot listen on ${host}:${port}: ${cause.message}.`, {
          cause,
          address: `${target.kind}://${host}:${port}`,
        }),
      );
    http.once("error", failed);
    http.listen({ host, port }, () => {
      http.off("error", failed);
      resolve();
    });
  });
  return async () => {};
}

function addressOf(target: Address, http: HttpServer): string {
  if (target.kind === "ipc") return `ipc://${target.path}`;
  const { port } = http.address() as AddressInfo;
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  return `${target.kind}://${host}:${port}`;
}

/** Whether nothing is there yet, so that all that comes is known. Opens the store. */
async function isEmpty(store: Store): Promise<boolean> {
  for await (const _ of store.keys()) return false;
  return true;
}
