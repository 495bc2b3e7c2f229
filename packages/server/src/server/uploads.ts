import { allocateBytes } from "@partd/core/author";
import { isMutation, LOCKED, MUTATION, Type } from "../protocol/constants.js";
import { type MessageReader, malformed } from "../protocol/message-reader.js";
import { wireError, writeError } from "../protocol/packets.js";
import type { Outbox } from "./outbox.js";
import type { Shared } from "./shared.js";

/** Bytes of an upload that a client may send before the next GO. */
const WINDOW_BYTES = 4 << 20;
/**
 * Within `limits.stall` an upload has to bring this fraction (1/256) of itself, and at least 64 KiB.
 */
const LEAST_PART = 256;
const LEAST_BYTES = 65_536;

/** The long requests of a connection, which come in chunks: one outside the lock, and one inside. */
export class Uploads {
  readonly #shared: Shared;
  readonly #outbox: Outbox;
  readonly #uploads = new Map<string, Upload>();
  #closed = false;

  constructor(shared: Shared, outbox: Outbox) {
    this.#shared = shared;
    this.#outbox = outbox;
  }

  /** Uploads that were announced and whose request is not answered. */
  get size(): number {
    return this.#uploads.size;
  }

  /** Bytes of memory reserved for them. */
  get reserved(): number {
    let bytes = 0;
    for (const { reserved } of this.#uploads.values()) bytes += reserved;
    return bytes;
  }

  /** Takes an UPLOAD packet. Under a held lock an upload does not wait for memory. */
  announce(reader: MessageReader, holdsLock: boolean): void {
    const { limits, uploads } = this.#shared;
    const { flags } = reader;
    const number = reader.varint();
    const type = reader.u8();
    const byteLength = reader.varint();
    const name = nameOf(isMutation(type), number);
    if (byteLength < 1 || byteLength > limits.request) {
      throw malformed(`a request of ${byteLength} bytes is refused`);
    }
    // One inside the lock and one outside: the one inside must not wait for one that waits for the
    // lock.
    for (const other of this.#uploads.values()) {
      if ((other.flags & LOCKED) === (flags & LOCKED)) throw malformed("two uploads at once");
    }
    if (this.#uploads.has(name)) throw malformed("two uploads have one number");
    const upload = new Upload(type, flags, number, byteLength);
    this.#uploads.set(name, upload);
    if ((flags & LOCKED) !== 0 && holdsLock) {
      this.#go(upload);
      return;
    }
    uploads.take(byteLength, upload.ended.signal).then(
      () => {
        upload.reserved = byteLength;
        if (this.#closed || this.#uploads.get(name) !== upload) this.#end(upload);
        else this.#go(upload);
      },
      () => {}, // It was given up, and answered.
    );
  }

  /** Takes a CHUNK packet. @returns the request, if this chunk completes it. */
  chunk(reader: MessageReader): Uploaded | undefined {
    const mutation = (reader.flags & MUTATION) !== 0;
    const upload = this.#uploads.get(nameOf(mutation, reader.varint()));
    if (!upload) throw malformed("a chunk belongs to no announced upload");
    const body = upload.add(reader.take(reader.left));
    if (!body) {
      this.#go(upload);
      return undefined;
    }
    const { type, flags, number } = upload;
    return { type, flags, number, body, settled: () => this.#end(upload) };
  }

  /** Gives up an upload that is not complete. @returns whether there was one. */
  cancel(mutation: boolean, number: number): boolean {
    const upload = this.#uploads.get(nameOf(mutation, number));
    if (!upload || upload.isComplete) return false;
    this.#end(upload);
    return true;
  }

  /** Whether the client has sent too little of an upload since `since`. */
  isStalled(since: number): boolean {
    return [...this.#uploads.values()].some(
      (upload) => upload.waitsForClient && upload.progress < since,
    );
  }

  /** The connection is lost: gives up incomplete uploads. */
  close(): void {
    this.#closed = true;
    for (const upload of this.#uploads.values()) if (!upload.isComplete) this.#end(upload);
  }

  /** Frees all memory, after the complete requests were carried out. */
  release(): void {
    for (const upload of this.#uploads.values()) this.#end(upload);
  }

  #go(upload: Upload): void {
    let bytes: number;
    try {
      bytes = upload.grant();
    } catch (error) {
      this.#refuse(upload, error);
      return;
    }
    if (bytes === 0) return;
    const { writer } = this.#outbox;
    const packet = writer.begin(Type.GO, isMutation(upload.type) ? MUTATION : 0, 16);
    writer.varint(upload.number);
    writer.varint(bytes);
    writer.end(packet);
    this.#outbox.schedule();
  }

  /** Answers with an error: memory is too short, or the upload is longer than the runtime can hold. */
  #refuse(upload: Upload, error: unknown): void {
    this.#end(upload);
    this.#shared.counters.errors++;
    const flags = isMutation(upload.type) ? MUTATION : 0;
    writeError(this.#outbox.writer, flags, upload.number, wireError(error));
    this.#outbox.schedule();
  }

  #end(upload: Upload): void {
    upload.ended.abort(ENDED);
    const name = nameOf(isMutation(upload.type), upload.number);
    if (this.#uploads.get(name) === upload) this.#uploads.delete(name);
    this.#shared.uploads.give(upload.reserved);
    upload.reserved = 0;
  }
}

/** A request that has come in chunks. */
export interface Uploaded {
  readonly type: number;
  readonly flags: number;
  readonly number: number;
  readonly body: Uint8Array;
  /** Frees the memory. Call this when the request was answered. */
  settled(): void;
}

class Upload {
  readonly type: number;
  readonly flags: number;
  readonly number: number;
  readonly byteLength: number;
  readonly ended = new AbortController();
  /** Bytes reserved of the server's memory for uploads. */
  reserved = 0;
  #bytes: Uint8Array | undefined;
  #received = 0;
  /** Bytes that were granted and have not come. */
  #granted = 0;
  #progress = performance.now();
  /** Bytes received when `#progress` was set. */
  #progressAt = 0;

  constructor(type: number, flags: number, number: number, byteLength: number) {
    this.type = type;
    this.flags = flags;
    this.number = number;
    this.byteLength = byteLength;
  }

  /** When the client was last granted bytes, or had brought the least fraction. */
  get progress(): number {
    return this.#progress;
  }

  get waitsForClient(): boolean {
    return this.#granted > 0;
  }

  get isComplete(): boolean {
    return this.#received === this.byteLength;
  }

  /**
   * Grants the client another half of a window, or the rest. The first call allocates the whole body.
   */
  grant(): number {
    if (!this.#bytes) {
      this.#bytes = allocateBytes(this.byteLength);
      this.#progress = performance.now();
    }
    const left = this.byteLength - this.#received;
    const bytes = Math.min(WINDOW_BYTES, left) - this.#granted;
    if (bytes < Math.min(WINDOW_BYTES / 2, left - this.#granted)) return 0;
    this.#granted += bytes;
    return bytes;
  }

  /** Adds a chunk. @returns the whole body, if this was the last one. */
  add(chunk: Uint8Array): Uint8Array | undefined {
    if (chunk.byteLength > this.#granted) throw malformed("a chunk is longer than was granted");
    this.#granted -= chunk.byteLength;
    this.#bytes?.set(chunk, this.#received);
    this.#received += chunk.byteLength;
    const least = Math.max(LEAST_BYTES, this.byteLength / LEAST_PART);
    if (this.#received - this.#progressAt >= least) {
      this.#progress = performance.now();
      this.#progressAt = this.#received;
    }
    return this.isComplete ? this.#bytes : undefined;
  }
}

const ENDED = new Error("The upload is over.");

function nameOf(mutation: boolean, number: number): string {
  return `${mutation ? "m" : "r"}${number}`;
}
