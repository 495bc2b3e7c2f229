import { PartdError } from "@partd/core";
import { type Batch, checkIntact } from "@partd/core/author";
import { MAX_KEY_BYTES, MAX_NUMBERED_BYTES } from "../protocol/constants.js";
import type { MessageWriter } from "../protocol/message-writer.js";

/** The fields of a request after its number. */
export interface Body {
  /** An upper bound of its length, in bytes. */
  readonly bound: number;
  /** How many keys it names. */
  readonly keyCount: number;
  /** @throws `ERR_PARTD_VALUE` if the caller has changed the length of a value meanwhile. */
  check?(): void;
  /** @param attach whether large values may be sent without a copy. */
  write(writer: MessageWriter, keys: KeyNumbers, attach: boolean): void;
}

/** From this many bytes on, copying a value costs more than sending it as a part of its own. */
const ATTACH_FROM = 32_768;

/** A batch, for APPEND and SET. */
export class BatchBody implements Body {
  readonly #batch: Batch;
  readonly bound: number;

  constructor(batch: Batch) {
    this.#batch = batch;
    let bound = 16 + batch.byteLength + batch.keys.length * 12;
    for (const key of batch.keys) bound += key.length;
    this.bound = bound;
  }

  get keyCount(): number {
    return this.#batch.keys.length;
  }

  check(): void {
    checkIntact(this.#batch);
  }

  write(writer: MessageWriter, table: KeyNumbers, attach: boolean): void {
    const { keys, values } = this.#batch;
    writer.reserve(8);
    writer.varint(keys.length);
    for (let i = 0; i < keys.length; i++) {
      const value = values[i] as Uint8Array;
      const key = keys[i] as string;
      // The socket asks for `byteLength`, which may be a property of the array's own.
      const attached = attach && value.length >= ATTACH_FROM && value.byteLength === value.length;
      writer.reserve(16 + key.length + (attached ? 0 : value.length));
      table.write(writer, key);
      writer.varint(value.length);
      if (attached) writer.attach(value);
      else writer.raw(value);
    }
  }
}

/** Keys, for GET, SIZES, POP and DELETE. */
export class KeysBody implements Body {
  readonly #keys: readonly string[];
  readonly bound: number;

  constructor(keys: readonly string[]) {
    this.#keys = keys;
    let bound = 16 + keys.length * 4;
    for (const key of keys) bound += key.length;
    this.bound = bound;
  }

  get keyCount(): number {
    return this.#keys.length;
  }

  write(writer: MessageWriter, table: KeyNumbers): void {
    writer.reserve(8);
    writer.varint(this.#keys.length);
    for (const key of this.#keys) {
      writer.reserve(8 + key.length);
      table.write(writer, key);
    }
  }
}

/** For STREAM and KEYS: how many bytes of the answer the server may send before a CREDIT. */
export class StreamBody implements Body {
  readonly #credit: number;
  readonly #key: string | undefined;
  readonly bound: number;
  readonly keyCount = 1;

  constructor(credit: number, key?: string) {
    this.#credit = credit;
    this.#key = key;
    this.bound = 32 + (key?.length ?? 0);
  }

  write(writer: MessageWriter, table: KeyNumbers): void {
    writer.reserve(8);
    writer.varint(this.#credit);
    if (this.#key !== undefined) {
      writer.reserve(8 + this.#key.length);
      table.write(writer, this.#key);
    }
  }
}

/** For DROP, FLUSH, COUNT, LOCK and UNLOCK. */
export const NO_BODY: Body = { bound: 16, keyCount: 0, write() {} };

/**
 * Gives numbers to keys for one connection. The text of a numbered key is sent, decoded and checked
 * once, which saves half the time of a batch of 1,000 keys of 100 bytes. The first `limit` keys of up
 * to {@link MAX_NUMBERED_BYTES} get numbers, in the order in which they are sent; other keys are sent
 * as text each time.
 */
export class KeyNumbers {
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
    const keyNumber = this.#find(key);
    if (keyNumber !== undefined) {
      writer.varint(keyNumber * 2);
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
    // Batches often hold the same keys in the same order. Trying last time's successor first saves a
    // look into the map, which takes half as long as copying 100 bytes.
    const next = this.#latest + 1 < this.#texts.length ? this.#latest + 1 : 0;
    const keyNumber = this.#texts[next] === key ? next : this.#numbers.get(key);
    if (keyNumber !== undefined) this.#latest = keyNumber;
    return keyNumber;
  }
}

export function tooLong(key: string): PartdError {
  return new PartdError(
    "ERR_PARTD_KEY",
    `A key of ${key.length} encoded bytes is longer than the ${MAX_KEY_BYTES} that a server takes.`,
  );
}
