import { Gunzip, Inflate } from "fflate";
import { adler32, crc32 } from "./checksum.js";
import { zlibBody } from "./format.js";

/** A frame while it is decompressed by fflate, which does not compare checksums. */
export interface InflateStream {
  /** What is to be pushed, in steps. */
  readonly input: Uint8Array;
  push(step: Uint8Array, last: boolean): void;
  /** Grows whenever a step was of use. */
  readonly progress: number;
  /** @throws unless the input was whole, and nothing followed it. */
  end(): void;
}

/** RFC 1950: one stream, and an Adler-32. */
export class ZlibStream implements InflateStream {
  readonly input: Uint8Array;
  readonly #inflate: Inflate;
  readonly #checksum: number;
  #found = 1;
  progress = 0;

  constructor(bytes: Uint8Array, onPiece: (piece: Uint8Array) => void) {
    const { body, checksum } = zlibBody(bytes);
    this.input = body;
    this.#checksum = checksum;
    this.#inflate = new Inflate((piece) => {
      if (piece.byteLength === 0) return;
      this.progress++;
      onPiece(piece);
      this.#found = adler32(piece, this.#found);
    });
  }

  push(step: Uint8Array, last: boolean): void {
    this.#inflate.push(step, last);
  }

  end(): void {
    // What fflate has collected; of the data's own last byte it keeps bits that were not needed.
    const rest = this.#inflate["p"] as Uint8Array | undefined;
    if (rest !== undefined && rest.byteLength > 1) throw new Error("more bytes follow its end.");
    if (this.#found !== this.#checksum) throw wrongChecksum();
  }
}

/** RFC 1952: one or more members, each with a header, and a CRC-32 and a length behind it. */
export class GzipStream implements InflateStream {
  readonly input: Uint8Array;
  readonly #view: DataView;
  readonly #gunzip: Gunzip;
  /** Where the latest member that is whole has ended. */
  #end = -1;
  /** Of the member after it. */
  #found = 0;
  #length = 0;
  progress = 0;

  constructor(bytes: Uint8Array, onPiece: (piece: Uint8Array) => void) {
    this.input = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#gunzip = new Gunzip((piece) => {
      if (piece.byteLength === 0) return;
      this.progress++;
      onPiece(piece);
      this.#found = crc32(piece, this.#found);
      this.#length += piece.byteLength;
    });
    this.#gunzip.onmember = (start) => this.#endMember(start);
  }

  push(step: Uint8Array): void {
    this.#gunzip.push(step);
  }

  /** fflate tells of no end, but of the next beginning: which must be where the bytes end. */
  end(): void {
    this.#gunzip.push(EMPTY_MEMBER);
    if (this.#end !== this.input.byteLength) throw cutShort();
  }

  #endMember(next: number): void {
    if (next > this.input.byteLength) throw cutShort();
    if (this.#view.getUint32(next - 8, true) !== this.#found) throw wrongChecksum();
    if (this.#view.getUint32(next - 4, true) !== this.#length % 2 ** 32) {
      throw new Error("its length is not that of the bytes.");
    }
    this.#end = next;
    this.#found = 0;
    this.#length = 0;
    this.progress++;
  }
}

const EMPTY_MEMBER = Uint8Array.of(
  ...[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
  ...[3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
);

function cutShort(): Error {
  return new Error("they are cut short.");
}

function wrongChecksum(): Error {
  return new Error("its checksum is not that of the bytes.");
}
