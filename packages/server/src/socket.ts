/** A connection that carries whole messages: a WebSocket, of Node or of a browser. */
export interface Socket {
  /**
   * Sends `parts` as one message.
   *
   * @param sent is called when they are on their way, until when they must not change. It is not
   *   called where they never are.
   */
  send(parts: readonly Uint8Array[], sent?: () => void): void;
  /** Closes in an orderly way; `closed` is called in the end. */
  close(): void;
  /** Gives the connection up at once. */
  terminate(): void;
}

/** What a socket tells. `closed` is called exactly once, also where it never opened. */
export interface SocketEvents {
  opened(): void;
  /** A binary message, in one or more parts. */
  received(parts: readonly Uint8Array[]): void;
  /** `cause` says why, where that is known. */
  closed(cause: unknown): void;
}

/** Opens a socket to a server's address. Throws only for an address that it cannot understand. */
export type Connect = (address: string, events: SocketEvents) => Socket;
