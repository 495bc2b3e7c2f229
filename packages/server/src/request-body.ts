import type { CountedKey } from "./census.js";
import { type MessageReader, malformed } from "./message-reader.js";
import { Type } from "./protocol.js";
import type { ReceivedKeys } from "./received-keys.js";

/** The fields of a request behind its number. */
export interface RequestBody {
  readonly keys: readonly CountedKey[];
  /** Of APPEND and SET. */
  readonly values: readonly Uint8Array[];
  readonly byteLength: number;
  /** Of STREAM and KEYS. */
  readonly credit: number;
}

/** Reads the rest of a request's packet. Values are views of it. */
export function readBody(
  type: number,
  reader: MessageReader,
  table: ReceivedKeys,
  mostKeys: number,
): RequestBody {
  switch (type) {
    case Type.APPEND:
    case Type.SET:
      return readEntries(type, reader, table, mostKeys);
    case Type.DELETE:
    case Type.POP:
    case Type.GET: {
      const keys: CountedKey[] = [];
      for (let left = readCount(reader, mostKeys); left > 0; left--) keys.push(table.read(reader));
      return { keys, values: [], byteLength: 0, credit: 0 };
    }
    case Type.STREAM: {
      const credit = reader.varint();
      return { keys: [table.read(reader)], values: [], byteLength: 0, credit };
    }
    case Type.KEYS:
      return { ...NOTHING, credit: reader.varint() };
    case Type.DROP:
    case Type.FLUSH:
    case Type.LOCK:
    case Type.UNLOCK:
      return NOTHING;
    default:
      throw malformed(`unknown packet type ${type}`);
  }
}

function readEntries(
  type: number,
  reader: MessageReader,
  table: ReceivedKeys,
  mostKeys: number,
): RequestBody {
  const count = readCount(reader, mostKeys);
  if (type === Type.SET && count !== 1) throw malformed("SET names one key");
  const keys: CountedKey[] = [];
  const values: Uint8Array[] = [];
  let byteLength = 0;
  for (let i = 0; i < count; i++) {
    const key = table.read(reader);
    const length = reader.varint();
    const value = reader.take(length);
    if (length === 0 && type === Type.APPEND) continue;
    keys.push(key);
    values.push(value);
    byteLength += length;
  }
  return { keys, values, byteLength, credit: 0 };
}

function readCount(reader: MessageReader, mostKeys: number): number {
  const count = reader.varint();
  if (count > mostKeys) throw malformed(`a request names ${count} keys, more than ${mostKeys}`);
  if (count > reader.left) throw malformed("a request names more keys than it has bytes");
  return count;
}

const NOTHING: RequestBody = { keys: [], values: [], byteLength: 0, credit: 0 };
