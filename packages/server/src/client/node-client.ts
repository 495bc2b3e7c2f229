import { connect as connectPath, type Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { PartdError } from "@partd/core";
import WebSocket from "ws";
import { isLoopback, parseAddress } from "../protocol/address.js";
import { SUBPROTOCOL } from "../protocol/numbers.js";
import { Client as BrowserClient, type ClientOptions as BrowserOptions } from "./client.js";
import type { Connect } from "./socket.js";

export interface ClientOptions extends BrowserOptions {
  /** For `wss://`: certificate authorities to trust, a certificate of one's own. */
  readonly tls?: ClientTls | undefined;
}

/**
 * The store of a `Server`, from another process or machine. See `@partd/server/client` for what it
 * is; under Node it also connects to `ipc://` addresses, and takes TLS options.
 *
 * @example
 * await using p = new Client("ipc://shuffle.sock");
 * await p.append({ x: new Uint8Array([1, 2, 3]) });
 */
export class Client extends BrowserClient {
  constructor(address: string, options: ClientOptions = {}) {
    super(address, { ...options, connect: options.connect ?? connectWith(options.tls) });
  }
}

/** How a client trusts a `wss://` server, and shows who it is. As for `tls.connect`. */
export interface ClientTls extends SecureContextOptions {
  readonly rejectUnauthorized?: boolean | undefined;
  readonly servername?: string | undefined;
}

/** The longest message of a server, in bytes. */
const LONGEST_MESSAGE = 64 << 20;

/** A socket over `ws`. */
export function connectWith(tls: ClientTls | undefined): Connect {
  return (address, events) => {
    const target = parseAddress(address);
    const url = target.kind === "ipc" ? "ws://localhost/" : address;
    const unmasked = target.kind === "ipc" || target.kind === "wss" || isLoopback(target.host);
    const options = {
      ...tls,
      perMessageDeflate: false,
      maxPayload: LONGEST_MESSAGE,
      closeTimeout: 2_000, // Not among the published types.
      // A mask keeps what a hostile page sends from being read as HTTP by a proxy in between. We
      // choose what we send, and on a socket file, on loopback and inside TLS there is no proxy
      // that could read it: there, a mask of zeros saves both sides from touching each byte.
      ...(unmasked ? { generateMask: zeroMask } : {}),
      ...(target.kind === "ipc" ? { createConnection: () => connectPath(target.path) } : {}),
    };
    const socket = new WebSocket(url, SUBPROTOCOL, options);
    let carrier: Socket | undefined;
    socket.on("upgrade", (response) => {
      carrier = response.socket;
    });
    socket.binaryType = "fragments";
    let cause: unknown;
    socket.on("open", () => events.opened());
    socket.on("message", (data) => events.received(data as Buffer[]));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      cause = error.code?.startsWith("WS_ERR_") ? noWebSocket(address, error) : error;
    });
    socket.on("close", (code, reason) =>
      events.closed(
        cause ?? new Error(`the server closed it (${code}${reason.length ? `, ${reason}` : ""})`),
      ),
    );
    return {
      send: (parts, sent) => sendParts(socket, carrier, parts, sent),
      close: () => socket.close(),
      terminate: () => socket.terminate(),
    };
  };
}

/**
 * Sends one message. Its parts become fragments, so that they need not be copied together, and go
 * to the system in one call.
 *
 * @param carrier what the WebSocket goes over.
 * @param sent is called when the system has them, if that comes to pass.
 */
export function sendParts(
  socket: WebSocket,
  carrier: Socket | undefined,
  parts: readonly Uint8Array[],
  sent?: () => void,
): void {
  const last = parts.length - 1;
  if (last > 0) carrier?.cork();
  for (let i = 0; i < last; i++) {
    socket.send(parts[i] as Uint8Array, { binary: true, fin: false });
  }
  socket.send(parts[last] as Uint8Array, { binary: true, fin: true }, (error) => {
    if (!error) sent?.();
  });
  if (last > 0) carrier?.uncork();
}

/** Another attempt would only be answered with the same. */
function noWebSocket(address: string, cause: Error): PartdError {
  return new PartdError(
    "ERR_PARTD_PROTOCOL",
    `The server at ${address} broke the WebSocket protocol, or this client's limits: ${cause.message}.`,
    { address, cause },
  );
}

function zeroMask(mask: Buffer): void {
  mask.fill(0);
}
