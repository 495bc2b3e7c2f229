import { decodeKey, encodeKey, isPartdError, PartdError, type PartdErrorCode } from "@partd/core";
import { ID_BYTES, LONGEST_TIMER, MAGIC, RESUMED, type Terms, Type, VERSION } from "./constants.js";
import { type MessageReader, malformed } from "./message-reader.js";
import type { MessageWriter } from "./message-writer.js";

/** The first packet of a connection. */
export interface Hello {
  /** Random and secret: whoever knows it can take the session over. */
  readonly session: Uint8Array;
  /** The client will never repeat a mutation below this number. */
  readonly first: number;
  readonly token: string;
}

/** The answer to a {@link Hello}. */
export interface Welcome {
  /** Whether the server remembers the session. */
  readonly resumed: boolean;
  /** Random; a different one means that the server was restarted. */
  readonly instance: Uint8Array;
  readonly terms: Terms;
}

export function writeHello(writer: MessageWriter, hello: Hello): void {
  const token = utf8.encode(hello.token);
  const packet = writer.begin(Type.HELLO, 0, 64 + token.byteLength);
  writer.u32(MAGIC);
  writer.u8(VERSION);
  writer.raw(hello.session);
  writer.varint(hello.first);
  writer.varint(token.byteLength);
  writer.raw(token);
  writer.end(packet);
}

export function readHello(reader: MessageReader): Hello {
  if (reader.type !== Type.HELLO) throw malformed("a connection begins with HELLO");
  if (reader.u32() !== MAGIC) throw malformed("this is not a partd client");
  const version = reader.u8();
  if (version !== VERSION) {
    throw new PartdError(
      "ERR_PARTD_PROTOCOL",
      `The client speaks version ${version} of the protocol, the server version ${VERSION}; use releases of @partd/server that match.`,
    );
  }
  const session = reader.take(ID_BYTES).slice();
  return { session, first: reader.varint(), token: reader.utf8(reader.varint()) };
}

export function writeWelcome(writer: MessageWriter, welcome: Welcome): void {
  const { terms } = welcome;
  const packet = writer.begin(Type.WELCOME, welcome.resumed ? RESUMED : 0, 128);
  writer.u8(VERSION);
  writer.raw(welcome.instance);
  for (const name of TERMS) writer.varint(terms[name]);
  writer.varint(terms.features);
  writer.end(packet);
}

export function readWelcome(reader: MessageReader): Welcome {
  if (reader.u8() !== VERSION) throw malformed("the server answers in another version");
  const resumed = (reader.flags & RESUMED) !== 0;
  const instance = reader.take(ID_BYTES).slice();
  const terms: Record<string, number> = {};
  for (const name of TERMS) terms[name] = reader.varint();
  terms.features = reader.left > 0 ? reader.varint() : 0; // An older server ends here.
  reader.skip(); // A later version may add fields.
  for (const [name, least] of LEAST) {
    if ((terms[name] as number) < least) throw malformed(`the term ${name} is ${terms[name]}`);
  }
  if ((terms.pingInterval as number) > LONGEST_TIMER)
    throw malformed("the pings are too far apart");
  return { resumed, instance, terms: terms as unknown as Terms };
}

/** The numbers that every server sends, in this order. */
const TERMS = [
  "window",
  "pending",
  "message",
  "request",
  "keys",
  "keyTable",
  "pingInterval",
] as const;

/** The least values: with less, a client would wait or retry for ever. */
const LEAST = [
  ["window", 1_024],
  ["message", 1_024],
  ["pending", 1],
  ["keys", 1],
  ["pingInterval", 1],
] as const;

const utf8 = new TextEncoder();

/** Error codes by their numbers on the wire, which never change. */
const CODES: readonly PartdErrorCode[] = [
  "ERR_PARTD_IO",
  "ERR_PARTD_KEY",
  "ERR_PARTD_VALUE",
  "ERR_PARTD_CLOSED",
  "ERR_PARTD_LOCK",
  "ERR_PARTD_CORRUPT",
  "ERR_PARTD_CODEC",
  "ERR_PARTD_CONNECTION",
  "ERR_PARTD_AUTH",
  "ERR_PARTD_PROTOCOL",
];

const HAS_KEY = 1;
const HAS_OFFSET = 2;
const HAS_PATH = 4;
const MAX_TEXT = 8_192;

/** The part of an error that an ERROR packet carries. Cause and stack stay on the server. */
export interface WireError {
  readonly code: number;
  readonly message: string;
  /** The encoded key. */
  readonly key: string | undefined;
  readonly offset: number | undefined;
  readonly path: string | undefined;
}

/** Never throws: a store of someone else's may throw anything, and each request needs its answer. */
export function wireError(error: unknown): WireError {
  const known: Partial<PartdError> = isPartdError(error) ? error : {};
  const { code, offset, path } = known;
  return {
    code: Math.max(0, CODES.indexOf(code ?? "ERR_PARTD_IO")),
    message: messageOf(error).slice(0, MAX_TEXT),
    key: keyTextOf(known),
    offset: Number.isSafeInteger(offset) && (offset as number) >= 0 ? offset : undefined,
    path: typeof path === "string" ? path.slice(0, MAX_TEXT) : undefined,
  };
}

/** Writes an ERROR packet: code, message and context. */
export function writeError(
  writer: MessageWriter,
  flags: number,
  number: number,
  error: WireError,
): void {
  const [message, key, path] = [error.message, error.key, error.path].map((text) =>
    text === undefined ? undefined : utf8.encode(text),
  );
  const { offset } = error;
  const room = [message, key, path].reduce((sum, text) => sum + (text?.byteLength ?? 0), 64);
  const packet = writer.begin(Type.ERROR, flags, room);
  writer.varint(number);
  writer.u8(error.code);
  writer.u8((key ? HAS_KEY : 0) | (offset === undefined ? 0 : HAS_OFFSET) | (path ? HAS_PATH : 0));
  writeText(message);
  writeText(key);
  if (offset !== undefined) writer.varint(offset);
  writeText(path);
  writer.end(packet);

  function writeText(bytes: Uint8Array | undefined): void {
    if (!bytes) return;
    writer.varint(bytes.byteLength);
    writer.raw(bytes);
  }
}

/** Reads the rest of an ERROR packet, after its number. */
export function readError(reader: MessageReader, address: string): PartdError {
  const code = CODES[reader.u8()];
  if (!code) throw malformed("an error has an unknown code");
  const has = reader.u8();
  const message = readText();
  const key = has & HAS_KEY ? decodeKey(readText()) : undefined;
  const offset = has & HAS_OFFSET ? reader.varint() : undefined;
  const path = has & HAS_PATH ? readText() : undefined;
  return new PartdError(code, message, { key, offset, path, address });

  function readText(): string {
    return reader.utf8(reader.varint());
  }
}

function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "The store failed with an error that has no text.";
  }
}

/** An error about a key may be about one that has no encoded text. */
function keyTextOf({ key }: Partial<PartdError>): string | undefined {
  try {
    return key === undefined ? undefined : encodeKey(key);
  } catch {
    return undefined;
  }
}
