import { PartdError } from "@partd/core";
import { concatBytes } from "@partd/core/author";
import { FORBIDDEN, SUBPROTOCOL } from "../protocol/constants.js";

/** A connection that carries whole messages: a WebSocket of `ws` or of the runtime. */
export interface Socket {
  /**
   * Sends `parts` as one message.
   *
   * @param sent is called when the parts may be changed again, and never if the message is not
   * sent.
   */
  send(parts: readonly Uint8Array[], sent?: () => void): void;
  /** Closes with a handshake; `closed` is called at the end. */
  close(): void;
  /** Drops the connection at once, without a handshake. */
  terminate(): void;
}

/** The events of a socket. `closed` comes exactly once, also if it never opened. */
export interface SocketEvents {
  opened(): void;
  /** A binary message, in one or more parts. */
  received(parts: readonly Uint8Array[]): void;
  /** The connection has ended. @param cause why, if that is known. */
  closed(cause: unknown): void;
}

/** Opens a socket to a server's address. Throws only for an address that it does not support. */
export type Connect = (address: string, events: SocketEvents) => Socket;

/** A socket over the `WebSocket` that browsers, Deno, Bun and Node 22 have built in. */
export const connectBuiltIn: Connect = (address, events) => {
  if (!/^wss?:\/\//.test(address)) {
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      `${address} cannot be reached from here: a browser connects to ws:// and wss:// addresses.`,
      { address },
    );
  }
  if (typeof WebSocket === "undefined") {
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      "There is no built-in WebSocket here; on Node 20 take Client from @partd/server, not from @partd/server/client.",
      { address },
    );
  }
  const socket = new WebSocket(address, SUBPROTOCOL);
  socket.binaryType = "arraybuffer";
  let over = false;
  const close = (cause: unknown) => {
    if (over) return;
    over = true;
    events.closed(cause);
  };
  socket.onopen = () => events.opened();
  socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
    if (over) return;
    events.received([typeof data === "string" ? new Uint8Array(0) : new Uint8Array(data)]);
  };
  // The error event has no details; a close event with a code follows it.
  socket.onclose = ({ code, reason }) => close(closedBy(address, code, reason));
  return {
    // send() copies before it returns.
    send: (parts, sent) => {
      socket.send((parts.length === 1 ? parts[0] : concatBytes(parts)) as Uint8Array<ArrayBuffer>);
      sent?.();
    },
    close: () => socket.close(),
    terminate: () => {
      socket.close();
      close(new Error("given up"));
    },
  };
};

/** Why a WebSocket was closed. A page learns only from the code that its origin may not connect. */
export function closedBy(address: string, code: number, reason: string): Error {
  if (code === FORBIDDEN) return new PartdError("ERR_PARTD_AUTH", reason, { address });
  return new Error(`the WebSocket closed with code ${code}${reason ? `: ${reason}` : ""}`);
}
