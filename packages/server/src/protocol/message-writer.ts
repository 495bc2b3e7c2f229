import { allocateBytes } from "@partd/core/author";
import { PACKET_HEADER } from "./constants.js";

/**
 * Writes packets one after the other into one WebSocket message. A large value is not copied: it
 * becomes a part of its own, and the transport sends the parts in order.
 */
export class MessageWriter {
  /** The current piece, written from `#start` to `offset`. `#parts` has the earlier ones. */
  bytes: Uint8Array<ArrayBuffer> = NOTHING;
  offset = 0;
  #start = 0;
  #parts: Uint8Array[] = [];
  /** Bytes in `#parts`. */
  #partBytes = 0;
  #view = new DataView(NOTHING.buffer);
  /** Memory of messages that may still be on their way. */
  #full: Uint8Array<ArrayBuffer>[] = [];
  readonly #spares: Spares;

  /** @param spares memory for messages that have grown to this length. */
  constructor(spares = new Spares(65_536, 0)) {
    this.#spares = spares;
  }

  /** Bytes of the message so far. */
  get byteLength(): number {
    return this.#partBytes + this.offset - this.#start;
  }

  /** Begins a packet, with room for `atLeast` bytes of its body. @returns what `end` needs. */
  begin(type: number, flags: number, atLeast: number): PacketStart {
    this.reserve(PACKET_HEADER + atLeast);
    const { bytes, offset } = this;
    bytes[offset] = type;
    bytes[offset + 1] = flags;
    bytes[offset + 2] = 0;
    bytes[offset + 3] = 0;
    this.offset = offset + PACKET_HEADER;
    return { view: this.#view, offset, before: this.byteLength };
  }

  /** Ends a packet by writing its length. @returns the length with the header. */
  end(packet: PacketStart): number {
    const length = this.byteLength - packet.before;
    packet.view.setUint32(packet.offset + 4, length, true);
    return PACKET_HEADER + length;
  }

  /** Makes room for `byteLength` more bytes in one piece. */
  reserve(byteLength: number): void {
    if (this.offset + byteLength <= this.bytes.byteLength) return;
    // The current packet's header may lie in this piece, and `PacketStart` points at it: the piece
    // becomes a part without a copy.
    this.#seal();
    const most = this.#spares.byteLength;
    if (this.bytes.byteLength === most) this.#full.push(this.bytes);
    // Start small: a server has a writer for each connection.
    const size = Math.max(byteLength, Math.min(most, Math.max(4_096, 4 * this.bytes.byteLength)));
    this.bytes = size === most ? this.#spares.take() : allocateBytes(size);
    this.#view = new DataView(this.bytes.buffer);
    this.offset = 0;
    this.#start = 0;
  }

  u8(value: number): void {
    this.bytes[this.offset++] = value;
  }

  u32(value: number): void {
    this.#view.setUint32(this.offset, value, true);
    this.offset += 4;
  }

  /** Unsigned LEB128, up to 2^53. Needs a reserve of up to 8 bytes. */
  varint(value: number): void {
    const { bytes } = this;
    let { offset } = this;
    while (value >= 0x80) {
      // Above 31 bits the bit operators would lose the upper ones.
      bytes[offset++] = (value % 128) | 0x80;
      value = value < 0x80000000 ? value >>> 7 : Math.floor(value / 128);
    }
    bytes[offset++] = value;
    this.offset = offset;
  }

  /** Writes a copy of `value`. */
  raw(value: Uint8Array): void {
    this.bytes.set(value, this.offset);
    this.offset += value.length;
  }

  /** Writes ASCII text, such as an encoded key. */
  ascii(text: string): void {
    const { bytes, offset } = this;
    for (let i = 0; i < text.length; i++) bytes[offset + i] = text.charCodeAt(i);
    this.offset = offset + text.length;
  }

  /**
   * Adds `value` without a copy: it must not change until the message has been sent.
   *
   * @param memory the spare in which the value lies, if it lies in one.
   */
  attach(value: Uint8Array, memory?: Uint8Array<ArrayBuffer>): void {
    this.#seal();
    this.#parts.push(value);
    this.#partBytes += value.length;
    if (memory) this.#full.push(memory);
  }

  /** Returns the message, in parts, and begins another. */
  take(): Uint8Array[] {
    this.#seal();
    const parts = this.#parts;
    this.#parts = [];
    this.#partBytes = 0;
    return parts;
  }

  /**
   * @returns a function that frees the memory of all messages taken so far. Call it when they are sent.
   */
  takeFull(): () => void {
    const full = this.#full;
    this.#full = [];
    return () => {
      for (const bytes of full) this.#spares.give(bytes);
    };
  }

  #seal(): void {
    if (this.offset === this.#start) return;
    this.#parts.push(this.bytes.subarray(this.#start, this.offset));
    this.#partBytes += this.offset - this.#start;
    this.#start = this.offset;
  }
}

export interface PacketStart {
  readonly view: DataView;
  readonly offset: number;
  readonly before: number;
}

const NOTHING = new Uint8Array(0);

/**
 * Sends one message. Its parts become fragments, so that they need not be concatenated, and go to the
 * system in one call.
 *
 * @param carrier the network socket below the WebSocket.
 * @param sent called when the system has taken them all, and never if it does not.
 */
export function sendParts(
  socket: FragmentSocket,
  carrier: Corkable | undefined,
  parts: readonly Uint8Array[],
  sent?: () => void,
): void {
  const last = parts.length - 1;
  if (last > 0) carrier?.cork();
  for (let i = 0; i < last; i++) {
    socket.send(parts[i] as Uint8Array, { binary: true, fin: false });
  }
  socket.send(parts[last] as Uint8Array, { binary: true, fin: true }, (error) => {
    if (!error) sent?.();
  });
  if (last > 0) carrier?.uncork();
}

/** The part of `ws`'s WebSocket that sends. The types of `ws` stay out of the published ones. */
export interface FragmentSocket {
  send(
    bytes: Uint8Array,
    options: { readonly binary: boolean; readonly fin: boolean },
    sent?: (error?: Error) => void,
  ): void;
}

/** Holds writes back until `uncork`, then sends them as one. */
export interface Corkable {
  cork(): void;
  uncork(): void;
}

/** Reusable memory for messages, all of one length: allocating memory costs more than filling it. */
export class Spares {
  readonly byteLength: number;
  readonly #most: number;
  readonly #spares: Uint8Array<ArrayBuffer>[] = [];

  /** @param most the most spares to keep. */
  constructor(byteLength: number, most: number) {
    this.byteLength = byteLength;
    this.#most = most;
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#spares.pop() ?? allocateBytes(this.byteLength);
  }

  give(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#spares.length < this.#most) this.#spares.push(bytes);
  }
}
