import { decodeKey, encodeKey, isPartdError, PartdError, type PartdErrorCode } from "@partd/core";
import type { MessageReader } from "./message-reader.js";
import { malformed } from "./message-reader.js";
import type { MessageWriter } from "./message-writer.js";
import { Type } from "./protocol.js";

/** By their numbers on the wire, which never change. */
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

/** Writes an ERROR packet: code, message and context. The cause stays where it happened. */
export function writeError(writer: MessageWriter, flags: number, id: number, error: unknown): void {
  const known: Partial<PartdError> = isPartdError(error) ? error : {};
  const message = utf8.encode(messageOf(error).slice(0, MAX_TEXT));
  const key = known.key === undefined ? undefined : utf8.encode(encodeKey(known.key));
  const path = known.path === undefined ? undefined : utf8.encode(known.path.slice(0, MAX_TEXT));
  const room = 64 + message.byteLength + (key?.byteLength ?? 0) + (path?.byteLength ?? 0);
  const packet = writer.begin(Type.ERROR, flags, room);
  writer.varint(id);
  writer.u8(Math.max(0, CODES.indexOf(known.code ?? "ERR_PARTD_IO")));
  writer.u8(
    (key ? HAS_KEY : 0) | (known.offset === undefined ? 0 : HAS_OFFSET) | (path ? HAS_PATH : 0),
  );
  writeText(message);
  if (key) writeText(key);
  if (known.offset !== undefined) writer.varint(known.offset);
  if (path) writeText(path);
  writer.end(packet);

  function writeText(bytes: Uint8Array): void {
    writer.varint(bytes.byteLength);
    writer.raw(bytes);
  }
}

/** Reads an ERROR packet behind its number. */
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
  return error instanceof Error ? error.message : String(error);
}

const utf8 = new TextEncoder();
