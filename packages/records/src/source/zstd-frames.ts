/** Bytes of one frame, or of a frame that holds no data and the one behind it. */
export interface FramePart {
  readonly bytes: Uint8Array;
  /** Whether the frame ends with them. */
  readonly isLast: boolean;
  /** With the last part: the lower half of the content's XXH64, if the frame has it. */
  readonly checksum?: number | undefined;
}

/**
 * Parses zstd frames as their bytes pass (RFC 8878, section 3.1), to know where they end, and
 * whether the last is whole.
 */
export class ZstdFrames {
  #state: "magic" | "skippable" | "descriptor" | "block" | "checksum" = "magic";
  /** Bytes to skip before the next field. */
  #skip = 0;
  /** The current field, little-endian, and how many of its bytes have come. */
  #field = 0;
  #length = 0;
  #hasChecksum = false;
  #isInLastBlock = false;

  /**
   * Whether the last frame has ended. Trailing bytes that begin no frame count as a truncated one.
   */
  get areWhole(): boolean {
    return this.#state === "magic" && this.#length === 0 && this.#skip === 0;
  }

  async *watch(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      for (const _ of this.parts(chunk)) {
        // Only to know where it stands.
      }
      yield chunk;
    }
  }

  *parts(bytes: Uint8Array): Generator<FramePart> {
    let from = 0;
    for (let at = 0; at < bytes.length; ) {
      let checksum: number | undefined;
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - at);
        this.#skip -= passed;
        at += passed;
        if (this.#skip > 0 || !this.#isInLastBlock || this.#hasChecksum) continue;
      } else {
        this.#field += bytes[at++]! * 2 ** (8 * this.#length++);
        if (this.#length < FIELD_BYTES[this.#state]) continue;
        const field = this.#field;
        this.#field = 0;
        this.#length = 0;
        if (this.#state === "checksum") checksum = field;
        else this.#take(field);
        // An empty last block ends the frame at once.
        const isEnd = this.#isInLastBlock && this.#skip === 0 && !this.#hasChecksum;
        if (checksum === undefined && !isEnd) continue;
      }
      this.#isInLastBlock = false;
      this.#state = "magic";
      yield { bytes: bytes.subarray(from, at), isLast: true, checksum };
      from = at;
    }
    if (from < bytes.length) yield { bytes: bytes.subarray(from), isLast: false };
  }

  #take(field: number): void {
    switch (this.#state) {
      case "magic":
        if (field === FRAME) this.#state = "descriptor";
        else if (Math.floor(field / 16) === SKIPPABLE) this.#state = "skippable";
        else this.#skip = Infinity;
        return;
      case "skippable":
        this.#skip = field;
        this.#state = "magic";
        return;
      case "descriptor": {
        const isSingle = (field & 0x20) !== 0;
        const sizeFlag = field >> 6;
        const sizeBytes = sizeFlag === 0 ? (isSingle ? 1 : 0) : 1 << sizeFlag;
        this.#skip = (isSingle ? 0 : 1) + [0, 1, 2, 4][field & 3]! + sizeBytes;
        this.#hasChecksum = (field & 4) !== 0;
        this.#state = "block";
        return;
      }
      case "block": {
        const isLast = (field & 1) !== 0;
        const isRepeated = ((field >> 1) & 3) === 1;
        this.#skip = isRepeated ? 1 : field >> 3;
        if (!isLast) return;
        this.#isInLastBlock = true;
        if (this.#hasChecksum) this.#state = "checksum";
      }
    }
  }
}

const FIELD_BYTES = { magic: 4, skippable: 4, descriptor: 1, block: 3, checksum: 4 } as const;
const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a5;
