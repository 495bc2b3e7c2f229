import type { Batch } from "@partd/core/author";
import { MAX_KEY_BYTES, MAX_NUMBERED_BYTES, Type } from "../protocol/constants.js";
import { type MessageReader, malformed } from "../protocol/message-reader.js";
import type { Census, CountedKey } from "./census.js";

/** The fields of a request after its number. */
export interface RequestBody {
  readonly keys: readonly CountedKey[];
  /** For APPEND and SET: a value for each key, and the keys' texts. */
  readonly batch: Batch;
  /** For STREAM and KEYS. */
  readonly credit: number;
}

/** Reads the rest of a request's packet. Values are views of it. */
export function readBody(
  type: number,
  reader: MessageReader,
  table: NumberedKeys,
  mostKeys: number,
): RequestBody {
  switch (type) {
    case Type.APPEND:
    case Type.SET:
      return readEntries(type, reader, table, mostKeys);
    case Type.DELETE:
    case Type.POP:
    case Type.SIZES:
    case Type.GET: {
      const keys: CountedKey[] = [];
      for (let left = readCount(reader, mostKeys); left > 0; left--) keys.push(table.read(reader));
      return { ...NOTHING, keys };
    }
    case Type.STREAM: {
      const credit = reader.varint();
      return { ...NOTHING, keys: [table.read(reader)], credit };
    }
    case Type.KEYS:
      return { ...NOTHING, credit: reader.varint() };
    case Type.DROP:
    case Type.FLUSH:
    case Type.LOCK:
    case Type.COUNT:
    case Type.UNLOCK:
      return NOTHING;
    default:
      throw malformed(`unknown packet type ${type}`);
  }
}

function readEntries(
  type: number,
  reader: MessageReader,
  table: NumberedKeys,
  mostKeys: number,
): RequestBody {
  const count = readCount(reader, mostKeys);
  if (type === Type.SET && count !== 1) throw malformed("SET names one key");
  // At their full length: growing arrays leave twice as much garbage.
  const keys = new Array<CountedKey>(count);
  const texts = new Array<string>(count);
  const values = new Array<Uint8Array>(count);
  let filled = 0;
  let byteLength = 0;
  for (let i = 0; i < count; i++) {
    const key = table.read(reader);
    const length = reader.varint();
    const value = reader.take(length);
    if (length === 0 && type === Type.APPEND) continue;
    keys[filled] = key;
    texts[filled] = key.text;
    values[filled++] = value;
    byteLength += length;
  }
  keys.length = filled;
  texts.length = filled;
  values.length = filled;
  return { keys, batch: { keys: texts, values, byteLength }, credit: 0 };
}

function readCount(reader: MessageReader, mostKeys: number): number {
  const count = reader.varint();
  if (count > mostKeys) throw malformed(`a request names ${count} keys, more than ${mostKeys}`);
  if (count > reader.left) throw malformed("a request names more keys than it has bytes");
  return count;
}

const NOTHING: RequestBody = {
  keys: [],
  batch: { keys: [], values: [], byteLength: 0 },
  credit: 0,
};

/** The keys of a connection's numbers; the client's side is `KeyNumbers`. */
export class NumberedKeys {
  readonly #census: Census;
  readonly #limit: number;
  readonly #keys: CountedKey[] = [];

  constructor(census: Census, limit: number) {
    this.#census = census;
    this.#limit = limit;
  }

  /**
   * @throws `ERR_PARTD_KEY` for a text that is not an encoded key: it could name a file outside a
   *   directory.
   */
  read(reader: MessageReader): CountedKey {
    const head = reader.varint();
    if (head % 2 === 0) {
      const key = this.#keys[head / 2];
      if (!key) throw malformed("a key has an unknown number");
      return key;
    }
    const length = (head - 1) / 2;
    if (length > MAX_KEY_BYTES) throw malformed("a key is too long");
    const key = this.#census.find(reader.ascii(length));
    if (this.#keys.length < this.#limit && length <= MAX_NUMBERED_BYTES) {
      this.#census.retain(key);
      this.#keys.push(key);
    }
    return key;
  }

  /** The connection is lost. */
  release(): void {
    for (const key of this.#keys.splice(0)) this.#census.release(key);
  }
}
