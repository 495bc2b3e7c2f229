import type { IncomingMessage } from "node:http";
import type { connect, NetConnectOpts, Socket, TcpNetConnectOpts } from "node:net";
import { resolve } from "node:path";
import type { SecureContextOptions } from "node:tls";
import { PartdError } from "@partd/core";
import { type OptionNames, takeOptions } from "@partd/core/author";
import WebSocket from "ws";
import { isLoopback, parseAddress } from "../protocol/address.js";
import { sendParts } from "../protocol/message-writer.js";
import { SUBPROTOCOL } from "../protocol/numbers.js";
import {
  Client as BrowserClient,
  type ClientOptions as BrowserOptions,
  CLIENT_OPTIONS,
  checkAddress,
} from "./client.js";
import { connectFrames, type FrameSocket } from "./frame-socket.js";
import { type Connect, closedBy } from "./socket.js";

export interface ClientOptions extends BrowserOptions {
  /** For `wss://`: the certificate authorities to trust, and a certificate of the client. */
  readonly tls?: ClientTls | undefined;
}

const NODE_OPTIONS: OptionNames<ClientOptions> = { ...CLIENT_OPTIONS, tls: "object" };

/**
 * The store of a `Server`, from another process or machine: the `Client` of `@partd/server/client`,
 * which under Node also connects to `ipc://` addresses and takes TLS options.
 *
 * @example
 * await using p = new Client("ipc://shuffle.sock");
 * await p.append({ x: new Uint8Array([1, 2, 3]) });
 */
export class Client extends BrowserClient {
  constructor(address: string, options: ClientOptions = {}) {
    checkAddress(address);
    const isSubclass = new.target !== Client;
    const { tls, ...taken } = takeOptions("new Client", options, NODE_OPTIONS, isSubclass);
    if (tls && !/^\s*wss:/i.test(address)) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `new Client() has tls, which is for wss:// addresses: to ${address} nothing would be encrypted.`,
        { address },
      );
    }
    super(resolved(address), { ...taken, connect: taken.connect ?? connectWith(tls) });
  }
}

/** How a client trusts a `wss://` server and presents its own certificate. As for `tls.connect`. */
export interface ClientTls extends SecureContextOptions {
  /** Whether a certificate that is not trusted ends the connection. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** The host name that the server's certificate is compared with. Default: that of the address. */
  readonly servername?: string | undefined;
}

/** The longest message of a server, in bytes. */
const LONGEST_MESSAGE = 64 << 20;
/** Characters of a refusal's reason. */
const LONGEST_REASON = 300;

/** A socket over `ws`. */
export function connectWith(tls: ClientTls | undefined): Connect {
  return (address, events) => {
    const target = parseAddress(address);
    const url = target.kind === "ipc" ? "ws://localhost/" : address;
    const unmasked = target.kind === "ipc" || target.kind === "wss" || isLoopback(target.host);
    let frames: FrameSocket | undefined;
    const createConnection = ((to: TcpNetConnectOpts) => {
      // The path of the URL is not one of a socket file.
      const path = target.kind === "ipc" ? target.path : undefined;
      frames = connectFrames({ ...to, path } as NetConnectOpts);
      return frames.socket;
    }) as typeof connect;
    const options = {
      ...tls,
      perMessageDeflate: false,
      maxPayload: LONGEST_MESSAGE,
      closeTimeout: 2_000, // Not among the published types.
      // The mask of WebSocket frames keeps a proxy from reading a hostile page's bytes as HTTP. Here we
      // choose the bytes, and on a socket file, on loopback and inside TLS no proxy can read them:
      // there, a mask of zeros saves both sides from touching each byte.
      ...(unmasked ? { generateMask: zeroMask } : {}),
      ...(target.kind === "wss" ? {} : { createConnection }),
    };
    const socket = new WebSocket(url, SUBPROTOCOL, options);
    let carrier: Socket | undefined;
    socket.on("upgrade", (response) => {
      carrier = response.socket;
      frames?.upgraded();
    });
    socket.binaryType = "fragments";
    let cause: unknown;
    socket.on("open", () => events.opened());
    socket.on("message", (data) => events.received(data as Buffer[]));
    socket.on("unexpected-response", (_request, response) => {
      cause = refusal(response, address, ""); // If its reason never ends.
      void reasonOf(response).then((reason) => {
        cause = refusal(response, address, reason);
        socket.terminate();
      });
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const { code = "" } = error;
      // Without a code: the peer has agreed to be a WebSocket, but not to the subprotocol.
      if (code.startsWith("WS_ERR_") || (carrier && code === "")) {
        cause ??= noWebSocket(address, error);
      } else cause ??= !carrier && TLS_CODE.test(code) ? noTls(address, error) : error;
    });
    socket.on("close", (code, reason) =>
      events.closed(cause ?? closedBy(address, code, String(reason))),
    );
    return {
      send: (parts, sent) => sendParts(socket, carrier, parts, sent),
      close: () => socket.close(),
      terminate: () => socket.terminate(),
    };
  };
}

/** Resolves a relative `ipc://` path once: the current directory may change between attempts. */
function resolved(address: string): string {
  if (!address.startsWith("ipc://")) return address;
  const path = address.slice("ipc://".length);
  return path === "" || process.platform === "win32" ? address : `ipc://${resolve(path)}`;
}

async function reasonOf(response: IncomingMessage): Promise<string> {
  let reason = "";
  response.setEncoding("utf8");
  try {
    for await (const text of response) {
      reason += text;
      if (reason.length > LONGEST_REASON) break;
    }
  } catch {
    // Without the body, report the status alone.
  }
  return reason.slice(0, LONGEST_REASON).trim();
}

/** The error for an HTTP status with which a server, or a proxy in front of it, refused. */
function refusal(response: IncomingMessage, address: string, reason: string): Error {
  const status = `${response.statusCode} ${response.statusMessage}`;
  const says = `The server at ${address} answered with ${status}: ${reason || "it gives no reason"}`;
  const isFinal = response.statusCode === 401 || response.statusCode === 403;
  return isFinal ? new PartdError("ERR_PARTD_AUTH", says, { address }) : new Error(says);
}

/** The codes of Node for a certificate that was not accepted, and for TLS that could not begin. */
const TLS_CODE = /^EPROTO$|^ERR_(TLS|SSL|OSSL)_|CERT|CRL|SIGNATURE|^HOSTNAME_|^INVALID_|^PATH_/;

/** The final error for two sides that do not trust each other, or have no version in common. */
function noTls(address: string, cause: Error): PartdError {
  // OpenSSL's own text has its source files, and a line's end.
  const [, reason = cause.message] = /SSL routines:[^:]*:([^:\n]*)/.exec(cause.message) ?? [];
  return new PartdError(
    "ERR_PARTD_CONNECTION",
    `No connection to ${address}: TLS failed with ${JSON.stringify(reason)}. Check the tls options of both sides: a client needs the authority that signed the server's certificate as ca, and its own key and cert if the server asks for them.`,
    { address, cause },
  );
}

/** The final error for a peer that another attempt would not change. */
function noWebSocket(address: string, cause: Error): PartdError {
  return new PartdError(
    "ERR_PARTD_PROTOCOL",
    `The server at ${address} is no partd server, or broke the WebSocket protocol or this client's limits: ${cause.message}.`,
    { address, cause },
  );
}

function zeroMask(mask: Buffer): void {
  mask.fill(0);
}
