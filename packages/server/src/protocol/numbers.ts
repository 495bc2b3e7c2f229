/** The numbers of the wire protocol, which docs/protocol.md specifies. */

/** The WebSocket subprotocol. Its name changes with each incompatible version. */
export const SUBPROTOCOL = "partd.1";
export const VERSION = 1;
/** The first bytes of every HELLO. */
export const MAGIC = 0x44545250; // "PRTD", little-endian
export const PACKET_HEADER = 8;
export const ID_BYTES = 16;
/** The longest encoded key. A client refuses a longer one before it sends it. */
export const MAX_KEY_BYTES = 65_536;
/** A longer key gets no number, which bounds what a server has to remember. */
export const MAX_NUMBERED_BYTES = 256;
/**
 * What each key of a request is charged besides its bytes: the memory that it takes while waiting.
 */
export const KEY_BYTES = 64;
/** Bytes that a server accepts before HELLO. */
export const HELLO_WINDOW = 16_384;

/** What a client sends. */
export const Type = {
  HELLO: 0x01,
  APPEND: 0x02,
  SET: 0x03,
  DELETE: 0x04,
  POP: 0x05,
  DROP: 0x06,
  UPLOAD: 0x07,
  CHUNK: 0x08,
  GET: 0x10,
  STREAM: 0x11,
  KEYS: 0x12,
  FLUSH: 0x13,
  LOCK: 0x14,
  UNLOCK: 0x15,
  SIZES: 0x16,
  COUNT: 0x17,
  CREDIT: 0x18,
  CANCEL: 0x19,
  SEEN: 0x1a,
  PONG: 0x1b,
  BYE: 0x1f,
  // What a server sends.
  WELCOME: 0x81,
  DONE: 0x82,
  DATA: 0x83,
  ERROR: 0x84,
  GO: 0x85,
  PING: 0x86,
  GOODBYE: 0x87,
} as const;

/** Flag of a request: it runs under the lock that this connection holds. */
export const LOCKED = 1;
/** Flag of a request: a CANCEL may follow. */
export const CANCELABLE = 2;
/** Flag of DATA: the answer is complete. */
export const LAST = 1;
/** Flag of DATA, ERROR and CANCEL: the number is a mutation's. */
export const MUTATION = 2;
/** Flag of WELCOME: the server knows this session. */
export const RESUMED = 1;

/** Whether the request changes the store, and so is numbered and applied exactly once. */
export function isMutation(type: number): boolean {
  return type >= Type.APPEND && type <= Type.DROP;
}

/** What a server tells each client in its WELCOME: sizes in bytes. */
export interface Terms {
  /** Bytes of requests that may be unanswered. */
  readonly window: number;
  /** Requests that may be unanswered. */
  readonly pending: number;
  /** The longest WebSocket message. A longer request is uploaded in chunks. */
  readonly message: number;
  /** The longest request, uploaded in chunks. */
  readonly request: number;
  /** Keys in one request. */
  readonly keys: number;
  /** How many keys of this connection the server will remember by number. */
  readonly keyTable: number;
  /** Milliseconds between two PINGs. */
  readonly pingInterval: number;
  /** Requests that the server offers beyond those of before: a sum of `Feature`s. */
  readonly features: number;
}

/** SIZES: the requests SIZES and COUNT. */
export const Feature = { SIZES: 1 } as const;

/** Why a server says GOODBYE. */
export const Reason = { CLOSING: 1, IDLE: 2 } as const;

/** WebSocket close code: the page's origin may not connect, and another attempt changes nothing. */
export const FORBIDDEN = 4403;
