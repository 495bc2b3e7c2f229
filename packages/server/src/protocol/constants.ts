/** The constants of the wire protocol, which docs/protocol.md specifies. */

/** The WebSocket subprotocol. Its name changes with each incompatible version. */
export const SUBPROTOCOL = "partd.1";
export const VERSION = 1;
/** The first bytes of every HELLO. */
export const MAGIC = 0x44545250; // "PRTD", little-endian
export const PACKET_HEADER = 8;
export const ID_BYTES = 16;
/** The longest encoded key. A client refuses a longer one before it sends it. */
export const MAX_KEY_BYTES = 65_536;
/** Longer keys get no number, which bounds what a server has to remember. */
export const MAX_NUMBERED_BYTES = 256;
/** What each key of a request is charged besides its bytes, for the memory that it takes. */
export const KEY_BYTES = 64;
/** The most bytes that a server accepts before HELLO. */
export const HELLO_WINDOW = 16_384;

/** Types of packets, first those that a client sends. */
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
  // Types that a server sends.
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

/** Whether the request changes the store. Such requests are numbered and carried out exactly once. */
export function isMutation(type: number): boolean {
  return type >= Type.APPEND && type <= Type.DROP;
}

/** The limits that a server tells each client in its WELCOME. Sizes are in bytes. */
export interface Terms {
  /** The most bytes of unanswered requests. */
  readonly window: number;
  /** The most unanswered requests. */
  readonly pending: number;
  /** The longest WebSocket message. Longer requests are uploaded in chunks. */
  readonly message: number;
  /** The longest request, which is uploaded in chunks. */
  readonly request: number;
  /** The most keys in one request. */
  readonly keys: number;
  /** How many keys of this connection the server will remember by number. */
  readonly keyTable: number;
  /** Milliseconds between two PINGs. */
  readonly pingInterval: number;
  /** Requests that this server offers besides the first version's: a sum of `Feature`s. */
  readonly features: number;
}

/** SIZES: the server offers the requests SIZES and COUNT. */
export const Feature = { SIZES: 1 } as const;

/** Why a server says GOODBYE. */
export const Reason = { CLOSING: 1, IDLE: 2 } as const;

/** The longest timer of a JavaScript runtime, in milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** WebSocket close code: the page's origin may not connect. Retrying does not help. */
export const FORBIDDEN = 4403;
