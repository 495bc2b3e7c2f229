import type { Census, CountedKey } from "./census.js";
import { type MessageReader, malformed } from "./message-reader.js";
import { MAX_KEY_BYTES, MAX_NUMBERED_BYTES } from "./protocol.js";

/** The other side of a `KeyTable`: the keys that a connection's numbers stand for. */
export class ReceivedKeys {
  readonly #census: Census;
  readonly #limit: number;
  readonly #keys: CountedKey[] = [];

  constructor(census: Census, limit: number) {
    this.#census = census;
    this.#limit = limit;
  }

  /** @throws `ERR_PARTD_KEY` for a text that is no encoded key: it could leave a directory. */
  read(reader: MessageReader): CountedKey {
    const head = reader.varint();
    if (head % 2 === 0) {
      const key = this.#keys[head / 2];
      if (!key) throw malformed("a key has a number that stands for none");
      return key;
    }
    const length = (head - 1) / 2;
    if (length > MAX_KEY_BYTES) throw malformed("a key is too long");
    const key = this.#census.find(reader.ascii(length));
    if (this.#keys.length < this.#limit && length <= MAX_NUMBERED_BYTES) {
      key.uses++;
      this.#keys.push(key);
    }
    return key;
  }

  /** The connection is gone. */
  release(): void {
    for (const key of this.#keys.splice(0)) this.#census.release(key);
  }
}
