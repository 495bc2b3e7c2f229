import { PartdError } from "@partd/core";
import { PACKET_HEADER } from "./constants.js";

/**
 * Reads packets and their fields from one WebSocket message, which may have come in several parts.
 * Bytes that lie within one part are returned as a view.
 *
 * Every method throws `ERR_PARTD_PROTOCOL` if the message ends too early.
 */
export class MessageReader {
  readonly #parts: readonly Uint8Array[];
  #next = 1;
  #bytes: Uint8Array;
  /** The memory of `#bytes`, and where they begin in it. */
  #buffer: ArrayBufferLike;
  #base: number;
  #offset = 0;
  /** Where reading of `#bytes` stops: at its end, or at the end of the packet. */
  #limit = 0;
  /** Bytes of the message before the present part. */
  #behind = 0;
  /** Where the present packet ends, counted from the beginning of the message. */
  #packetEnd = 0;
  readonly byteLength: number;
  type = 0;
  flags = 0;

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
    this.#bytes = parts[0] ?? NOTHING;
    this.#buffer = this.#bytes.buffer;
    this.#base = this.#bytes.byteOffset;
    let byteLength = 0;
    for (const part of parts) byteLength += part.byteLength;
    this.byteLength = byteLength;
  }

  get #position(): number {
    return this.#behind + this.#offset;
  }

  /** Bytes of the packet that are not read yet. */
  get left(): number {
    return this.#packetEnd - this.#position;
  }

  /**
   * Goes to the next packet. @returns its length with the header, or 0 at the end of the message.
   */
  nextPacket(): number {
    if (this.left !== 0) throw malformed("a packet is longer than its fields");
    const start = this.#position;
    if (start === this.byteLength) return 0;
    if (this.byteLength - start < PACKET_HEADER) throw malformed("a packet's header is cut short");
    this.#endPacketAt(start + PACKET_HEADER);
    this.type = this.u8();
    this.flags = this.u8();
    if (this.u8() + this.u8() !== 0) throw malformed("reserved bytes are not zero");
    const length = this.u32();
    if (start + PACKET_HEADER + length > this.byteLength) throw malformed("a packet is cut short");
    this.#endPacketAt(start + PACKET_HEADER + length);
    return PACKET_HEADER + length;
  }

  /** Reads the message as the fields of one packet, without a header. */
  enter(): void {
    this.#endPacketAt(this.byteLength);
  }

  /** Goes to the end of the packet. */
  skip(): void {
    while (this.left > 0) {
      if (this.#offset === this.#limit) this.#nextPart();
      this.#offset += Math.min(this.left, this.#limit - this.#offset);
    }
  }

  u8(): number {
    if (this.left < 1) throw cutShort();
    while (this.#offset === this.#limit) this.#nextPart();
    return this.#bytes[this.#offset++] as number;
  }

  u32(): number {
    return this.u8() + this.u8() * 0x100 + this.u8() * 0x10000 + this.u8() * 0x1000000;
  }

  varint(): number {
    // Nearly all varints have one or two bytes, within the part.
    const offset = this.#offset;
    if (offset + 2 <= this.#limit) {
      const first = this.#bytes[offset] as number;
      if (first < 0x80) {
        this.#offset = offset + 1;
        return first;
      }
      const second = this.#bytes[offset + 1] as number;
      if (second < 0x80) {
        this.#offset = offset + 2;
        return first - 0x80 + second * 0x80;
      }
    }
    return this.#longVarint();
  }

  /** The next bytes: a view of the message, or a copy if they lie in several parts. */
  take(byteLength: number): Uint8Array {
    const offset = this.#offset;
    if (offset + byteLength > this.#limit) return this.#takeAcross(byteLength);
    this.#offset = offset + byteLength;
    // Not subarray(), which takes twice as long for a Buffer.
    return new Uint8Array(this.#buffer, this.#base + offset, byteLength);
  }

  /** Reads ASCII text. */
  ascii(byteLength: number): string {
    const bytes = this.take(byteLength);
    for (let i = 0; i < byteLength; i++) {
      if ((bytes[i] as number) >= 0x80) throw malformed("a key is not ASCII");
    }
    // One call of the decoder takes as long as 50 characters in the loop; 65,536 in the loop took 3 ms.
    if (byteLength > 64) return utf8.decode(bytes);
    let text = "";
    for (let i = 0; i < byteLength; i++) text += String.fromCharCode(bytes[i] as number);
    return text;
  }

  utf8(byteLength: number): string {
    return utf8.decode(this.take(byteLength));
  }

  #longVarint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw malformed("a number is above 2^53");
  }

  #takeAcross(byteLength: number): Uint8Array {
    if (byteLength > this.left) throw cutShort();
    if (this.#offset === this.#limit) {
      this.#nextPart();
      return this.take(byteLength);
    }
    const bytes = new Uint8Array(byteLength);
    for (let done = 0; done < byteLength; ) {
      if (this.#offset === this.#limit) this.#nextPart();
      const piece = this.take(Math.min(byteLength - done, this.#limit - this.#offset));
      bytes.set(piece, done);
      done += piece.byteLength;
    }
    return bytes;
  }

  #nextPart(): void {
    const part = this.#parts[this.#next++];
    if (!part) throw malformed("the message is cut short");
    this.#behind += this.#bytes.byteLength;
    this.#bytes = part;
    this.#buffer = part.buffer;
    this.#base = part.byteOffset;
    this.#offset = 0;
    this.#endPacketAt(this.#packetEnd);
  }

  #endPacketAt(end: number): void {
    this.#packetEnd = end;
    this.#limit = Math.min(this.#bytes.byteLength, end - this.#behind);
  }
}

export function malformed(what: string): PartdError {
  return new PartdError("ERR_PARTD_PROTOCOL", `The peer broke the partd protocol: ${what}.`);
}

function cutShort(): PartdError {
  return malformed("a packet ends within its fields");
}

const NOTHING = new Uint8Array(0);
const utf8 = new TextDecoder();
