import { ByteReader } from "./byte-reader.js";
import { ByteWriter } from "./byte-writer.js";
import { hex, INDEX } from "./names.js";

/**
 * An index that a writer leaves when it closes: the tails of its segments in one object, so that a
 * reader needs one request for all. For each segment: the length and text of its name in the data
 * set, then the length and bytes of its tail; lengths are varints. Each tail has its own checksum,
 * and names its segment.
 */
export class IndexObject {
  readonly #bytes = new ByteWriter();
  count = 0;

  get bytes(): Buffer {
    return this.#bytes.bytes;
  }

  add(name: string, tail: Uint8Array): void {
    this.#bytes.varint(name.length);
    this.#bytes.ascii(name);
    this.#bytes.varint(tail.length);
    this.#bytes.append(tail);
    this.count++;
  }

  /** @throws `RangeError` for bytes that no writer writes. */
  static *read(bytes: Buffer): Generator<readonly [name: string, tail: Buffer], void, undefined> {
    const reader = new ByteReader(bytes);
    while (!reader.isAtEnd) {
      const nameLength = reader.varint();
      reader.skip(nameLength);
      const name = bytes.toString("latin1", reader.at - nameLength, reader.at);
      const tailLength = reader.varint();
      reader.skip(tailLength);
      // A copy, so that keeping one tail does not keep all.
      yield [name, Buffer.from(bytes.subarray(reader.at - tailLength, reader.at))];
    }
  }
}

export function indexName(writer: string, number: number): string {
  return `${INDEX}${writer}-${hex(number, 8)}`;
}

export function isIndexName(name: string): boolean {
  return /^index\/[0-9a-f]{16}-[0-9a-f]{8}$/.test(name);
}
