import { unlessAborted } from "@partd/core/author";
import type { Message } from "apache-arrow";
import type { ByteReader } from "../source/byte-reader.js";

/** Cuts an input, which may have several Arrow streams, into their messages. */
export class ArrowMessages {
  /** What reading the input has thrown, if it did: any other error is due to its bytes. */
  inputError: unknown;
  readonly #reader: ByteReader;
  readonly #decode: typeof Message.decode;
  readonly #signal: AbortSignal | undefined;
  /** Bytes that {@link peek} has read and {@link #take} has not returned yet. */
  #ahead = new Uint8Array(0);
  #at = 0;

  constructor(reader: ByteReader, decode: typeof Message.decode, signal: AbortSignal | undefined) {
    this.#reader = reader;
    this.#decode = decode;
    this.#signal = signal;
  }

  /** Looks at the next bytes without taking them; fewer at the end. */
  async peek(byteLength: number): Promise<Uint8Array> {
    const bytes = await this.#take(byteLength);
    this.#at -= bytes.length;
    this.#ahead = bytes;
    return bytes;
  }

  /** Whether anything but zeros follows the end of a stream. */
  async hasMore(): Promise<boolean> {
    for (;;) {
      const bytes = await this.peek(PREFIX);
      if (bytes.length === 0) return false;
      if (bytes.some((byte) => byte !== 0)) return true;
      await this.#take(PREFIX);
    }
  }

  /**
   * Yields the messages of a stream up to its end marker, in pieces: prefix, metadata, body. Each has memory
   * of its own, so it is aligned as the package needs it.
   *
   * @throws an Error for bytes that begin no message, or are cut short.
   */
  async *stream(): AsyncGenerator<Uint8Array> {
    for (const start = this.#at; ; ) {
      const at = this.#at;
      const prefix = await this.#prefix(at);
      // A stream may also end without a marker, with the input.
      if (prefix === undefined) return;
      const { length: metadataLength, bytes } = prefix;
      if (metadataLength === 0) return;
      // Before version 0.15 a message had no marker, and any text would do as its length.
      const isLikely = bytes.length > PREFIX || at > start || metadataLength <= LONGEST_SCHEMA;
      if (metadataLength < 0 || !isLikely) throw new Error(`no message begins at byte ${at}.`);
      yield bytes;
      const metadata = await this.#takeAll(metadataLength, at);
      const { bodyLength } = this.#decode(metadata);
      yield metadata;
      if (bodyLength > 0) yield await this.#takeAll(bodyLength, at);
      // The package asks for another piece before it returns this batch, and a pipe may have no more yet.
      yield new Uint8Array(0);
    }
  }

  /** Reads everything that is left: the reader of the file format starts at the end. */
  async rest(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let piece = await this.#take(PIECE); piece.length > 0; piece = await this.#take(PIECE)) {
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }

  /** Reads the length of a message's metadata, and the marker before it if there is one; 0 ends a stream. */
  async #prefix(at: number): Promise<{ length: number; bytes: Uint8Array } | undefined> {
    const first = await this.#take(PREFIX);
    if (first.length === 0) return undefined;
    if (first.length === PREFIX && int32(first) !== MARKER) {
      return { length: int32(first), bytes: first };
    }
    const second = await this.#take(PREFIX);
    if (second.length < PREFIX) throw cutShort(at);
    return { length: int32(second), bytes: Buffer.concat([first, second]) };
  }

  async #takeAll(byteLength: number, messageAt: number): Promise<Uint8Array> {
    const bytes = await this.#take(byteLength);
    if (bytes.length < byteLength) throw cutShort(messageAt);
    return bytes;
  }

  /** The next bytes; fewer at the end. */
  async #take(byteLength: number): Promise<Uint8Array<ArrayBuffer>> {
    // The array's pages take memory only once they are written, so a damaged length does no harm.
    const bytes = new Uint8Array(byteLength);
    let filled = Math.min(this.#ahead.length, byteLength);
    bytes.set(this.#ahead.subarray(0, filled));
    this.#ahead = this.#ahead.subarray(filled);
    try {
      while (filled < byteLength) {
        const reading = this.#reader.read(bytes.subarray(filled));
        const read = await unlessAborted(reading, this.#signal);
        if (read === 0) break;
        filled += read;
      }
    } catch (error) {
      this.inputError = error;
      throw error;
    }
    this.#at += filled;
    return bytes.subarray(0, filled);
  }
}

function int32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
}

function cutShort(at: number): Error {
  return new Error(`it is cut short: the message at byte ${at} has no end.`);
}

const PREFIX = 4;
const MARKER = -1;
const LONGEST_SCHEMA = 1 << 24;
const PIECE = 1 << 20;
