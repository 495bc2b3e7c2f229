import { PartdError } from "@partd/core";
import { type MessageReader, malformed } from "./message-reader.js";
import type { MessageWriter } from "./message-writer.js";
import { ID_BYTES, MAGIC, RESUMED, type Terms, Type, VERSION } from "./protocol.js";

/** The first packet of a connection. */
export interface Hello {
  /** Random, and known to the client alone: whoever knows it takes the session over. */
  readonly session: Uint8Array;
  /** Every mutation below it was answered, or will not be asked about again. */
  readonly first: number;
  readonly token: string;
}

/** The answer to a {@link Hello}. */
export interface Welcome {
  /** Whether the server remembers the session. */
  readonly resumed: boolean;
  /** Random: another one means that the server was started anew. */
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
  if (reader.u32() !== MAGIC) throw malformed("this is no partd client");
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
  writer.end(packet);
}

export function readWelcome(reader: MessageReader): Welcome {
  if (reader.u8() !== VERSION) throw malformed("the server answers in another version");
  const resumed = (reader.flags & RESUMED) !== 0;
  const instance = reader.take(ID_BYTES).slice();
  const terms: Record<string, number> = {};
  for (const name of TERMS) terms[name] = reader.varint();
  reader.skip(); // A later version may say more.
  return { resumed, instance, terms: terms as unknown as Terms };
}

/** In the order in which they are sent. */
const TERMS = [
  "window",
  "pending",
  "message",
  "request",
  "keys",
  "keyTable",
  "pingInterval",
] as const;

const utf8 = new TextEncoder();
