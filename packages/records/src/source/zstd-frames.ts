/**
 * Parses zstd frames as their bytes pass (RFC 8878, section 3.1), to know whether the last is
 * whole.
 */
export class ZstdFrames {
  #state: "magic" | "skippable" | "descriptor" | "block" = "magic";
  /** Bytes to skip before the next field. */
  #skip = 0;
  /** The current field, little-endian, and how many of its bytes have come. */
  #field = 0;
  #length = 0;
  #hasChecksum = false;

  /**
   * Whether the last frame has ended. Trailing bytes that begin no frame count as a truncated one.
   */
  get areWhole(): boolean {
    return this.#state === "magic" && this.#length === 0 && this.#skip === 0;
  }

  async *watch(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.#push(chunk);
      yield chunk;
    }
  }

  #push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - at);
        this.#skip -= passed;
        at += passed;
        continue;
      }
      this.#field += bytes[at++]! * 2 ** (8 * this.#length++);
      if (this.#length < FIELD_BYTES[this.#state]) continue;
      const field = this.#field;
      this.#field = 0;
      this.#length = 0;
      this.#take(field);
    }
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
        if (this.#hasChecksum) this.#skip += 4;
        this.#state = "magic";
      }
    }
  }
}

const FIELD_BYTES = { magic: 4, skippable: 4, descriptor: 1, block: 3 } as const;
const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a5;
