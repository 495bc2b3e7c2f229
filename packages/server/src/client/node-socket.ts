import type { IncomingMessage } from "node:http";
import { connect, type NetConnectOpts, type Socket, type TcpNetConnectOpts } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { PartdError } from "@partd/core";
import WebSocket from "ws";
import { isLoopback, parseAddress } from "../protocol/address.js";
import { SUBPROTOCOL } from "../protocol/constants.js";
import { sendParts } from "../protocol/message-writer.js";
import { type Connect, closedBy } from "./socket.js";

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
      // Without this, the path of a ws:// URL would pass for that of a socket file.
      const path = target.kind === "ipc" ? target.path : undefined;
      frames = connectFrames({ ...to, path } as NetConnectOpts);
      return frames.socket;
    }) as typeof connect;
    const options = {
      ...tls,
      perMessageDeflate: false,
      maxPayload: LONGEST_MESSAGE,
      closeTimeout: 2_000, // The published types lack it.
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
      cause = refusal(response, address, ""); // Stays if the body with the reason never ends.
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
      } else if (!carrier && TLS_CODE.test(code)) cause ??= noTls(address, error);
      else if (!carrier && HUNG_UP.test(code) && hasCertificate(tls)) cause ??= hungUp(error);
      else cause ??= error;
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

/** The codes of a connection that the other side has closed. */
const HUNG_UP = /^ECONNRESET$|^EPIPE$/;

function hasCertificate(tls: ClientTls | undefined): boolean {
  return tls?.cert !== undefined || tls?.pfx !== undefined;
}

/**
 * A server under Node that does not accept a client's certificate closes the connection after the
 * handshake, without an alert. This is not a final error: a server that is killed at that moment looks
 * the same.
 */
function hungUp(cause: Error): Error {
  return new Error(
    "the server hung up before it answered, most likely because it does not accept this client's certificate (tls.cert): the server's own tls.ca has to hold the authority that signed it, and it must not have expired",
    { cause },
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

// ---- Frames ------------------------------------------------------------------------------------

/** A network socket that passes on the payload of each long WebSocket frame in one piece. */
export interface FrameSocket {
  readonly socket: Socket;
  /** Call this when the HTTP exchange is over: from here on, frames come. */
  upgraded(): void;
}

/**
 * Connects a socket under a `ws` WebSocket. By itself, `ws` gets 64 KiB at a time, each in new memory, and
 * copies a long payload together from these. Here the payload is read straight into its own memory, and
 * `ws` passes it on as it is. That saves a fifth of a client's CPU for a get of 30 MB, mostly in the
 * garbage collector.
 */
export function connectFrames(options: NetConnectOpts): FrameSocket {
  const scratch = new Uint8Array(READ_BYTES);
  const heads = new FrameHeads();
  /** The last bytes of the HTTP response so far. */
  let tail = "";
  let isFramed = false;
  /** The payload that is being read, and how much of it has come. */
  let payload: Buffer | undefined;
  let filled = 0;

  const socket: Socket = connect({
    ...options,
    onread: {
      buffer: () => (payload ? payload.subarray(filled) : scratch),
      callback(byteLength) {
        if (!payload) return split(scratch.subarray(0, byteLength));
        filled += byteLength;
        return passPayload();
      },
    },
  });
  return {
    socket,
    upgraded() {
      // If frames came in one read with the response, `ws` has their bytes: then let it parse all frames.
      isFramed = tail === "\r\n\r\n";
      tail = "";
    },
  };

  /** Passes on what was read: long payloads, and what lies between them. @returns whether more is wanted. */
  function split(bytes: Uint8Array): boolean {
    let isWanted = true;
    if (!isFramed) tail = (tail + latin1.decode(bytes.subarray(-4))).slice(-4);
    for (let at = 0; at < bytes.byteLength && !socket.destroyed; ) {
      if (payload) {
        const piece = bytes.subarray(at, at + payload.byteLength - filled);
        payload.set(piece, filled);
        filled += piece.byteLength;
        at += piece.byteLength;
        isWanted = passPayload();
        continue;
      }
      const end = isFramed ? heads.nextPayload(bytes, at) : bytes.byteLength;
      if (heads.payloadBytes > 0) payload = Buffer.allocUnsafeSlow(heads.payloadBytes);
      filled = 0;
      isWanted = socket.push(copyOf(bytes.subarray(at, end)));
      at = end;
    }
    return isWanted;
  }

  /** Passes the payload on if it is complete. */
  function passPayload(): boolean {
    if (!payload || filled < payload.byteLength) return true;
    const complete = payload;
    payload = undefined;
    return socket.push(complete);
  }
}

const latin1 = new TextDecoder("latin1");

/** A copy with memory of its own, not of Node's pool: it may become the value that a `get` returns. */
function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

/** Follows the heads of a server's frames through what is read. */
class FrameHeads {
  /** The head that is being read: 2 bytes, and a length of 2 or 8 where they say so. */
  readonly #head = new Uint8Array(10);
  #headBytes = 0;
  /** Bytes of a payload without memory of its own that have not come. */
  #left = 0;
  /** The length of the payload that `nextPayload` has found, or 0. */
  payloadBytes = 0;

  /** Looks from `start` on for a payload that gets memory of its own. @returns where it begins, or the end. */
  nextPayload(bytes: Uint8Array, start: number): number {
    this.payloadBytes = 0;
    for (let at = start; ; ) {
      const passed = Math.min(this.#left, bytes.byteLength - at);
      at += passed;
      this.#left -= passed;
      for (; this.#headBytes < this.#headLength; this.#headBytes++) {
        if (at === bytes.byteLength) return at;
        this.#head[this.#headBytes] = bytes[at++] as number;
      }
      const length = this.#takeHead();
      if (length >= OWN_FROM && length <= OWN_UP_TO) {
        this.payloadBytes = length;
        return at;
      }
      this.#left = length;
    }
  }

  get #headLength(): number {
    if (this.#headBytes < 2) return 2;
    const length = this.#head[1] as number;
    return length < 126 ? 2 : length === 126 ? 4 : 10;
  }

  #takeHead(): number {
    const end = this.#headLength;
    let length = end === 2 ? (this.#head[1] as number) : 0;
    for (let i = 2; i < end; i++) length = length * 256 + (this.#head[i] as number);
    this.#headBytes = 0;
    return length;
  }
}

/** Bytes of a read, unless it goes straight into a payload. */
const READ_BYTES = 65_536;
/** Payloads from this length on get memory of their own, up to the longest that a server sends. */
const OWN_FROM = 8_192;
const OWN_UP_TO = 1 << 20;
