import { PartdError } from "@partd/core";
import type { MessageWriter } from "./message-writer.js";
import { MAX_KEY_BYTES, MAX_NUMBERED_BYTES } from "./protocol.js";

/**
 * The numbers under which a connection's keys are known to the other side, so that a key's text
 * goes over the wire, and is decoded and checked there, once and not with each append: of a batch
 * of 1,000 keys of 100 bytes that is half the time. The first `limit` texts that are not long are numbered in the
 * order in which they are sent; later ones are sent as text each time.
 */
export class KeyTable {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];
  #latest = -1;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Writes a key, for which there is room: 8 bytes and its text. An even number refers to a key, an
   * odd one is the length of the text that follows.
   */
  write(writer: MessageWriter, key: string): void {
    const number = this.#find(key);
    if (number !== undefined) {
      writer.varint(number * 2);
      return;
    }
    if (key.length > MAX_KEY_BYTES) throw tooLong(key);
    writer.varint(key.length * 2 + 1);
    writer.ascii(key);
    if (this.#texts.length < this.#limit && key.length <= MAX_NUMBERED_BYTES) {
      this.#numbers.set(key, this.#texts.length);
      this.#texts.push(key);
    }
  }

  #find(key: string): number | undefined {
    // Batches often hold the same keys in the same order: the one that came next before saves the
    // map, which takes half as long as copying 100 bytes.
    const next = this.#latest + 1 < this.#texts.length ? this.#latest + 1 : 0;
    const number = this.#texts[next] === key ? next : this.#numbers.get(key);
    if (number !== undefined) this.#latest = number;
    return number;
  }
}

export function tooLong(key: string): PartdError {
  return new PartdError(
    "ERR_PARTD_KEY",
    `A key of ${key.length} encoded bytes is longer than the ${MAX_KEY_BYTES} that a server takes.`,
  );
}
