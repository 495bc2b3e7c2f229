import { PartdError } from "../errors.js";
import { concatBytes } from "../memory/bytes.js";
import { lengthOf, viewOf } from "../memory/typed-array.js";
import type { OptionNames } from "../option-names.js";
import { isBytes, isLost, LOST_BYTES } from "../store/batch.js";
import type { Codec } from "./codec.js";
import { ENCODE_OPTIONS, type EncodeOptions } from "./encode.js";
import { copies } from "./scratch.js";

/** A compression format: what a compression package supplies. */
export interface Compressor {
  /** For error messages: `"snappy"`. */
  readonly name: string;
  compress(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /**
   * Returns the uncompressed bytes in an array of their own. Throws if `bytes` are damaged, cut
   * short or of another format. Must call {@link checkDecodedSize} before it allocates more than
   * `maxDecodedBytes`.
   */
  decompress(bytes: Uint8Array, maxDecodedBytes: number): Uint8Array | Promise<Uint8Array>;
}

/** Options that every compression takes. */
export interface CompressorOptions extends EncodeOptions {
  /**
   * The most bytes that one frame, the bytes of one append, may decode to. A few kilobytes may claim to
   * be gigabytes: a larger frame is refused with `ERR_PARTD_CODEC` before memory is allocated for it.
   * `append` refuses more bytes too, because `get` would refuse them. Default 2^30, one gibibyte;
   * `Infinity` for no limit.
   */
  readonly maxDecodedBytes?: number | undefined;
}

/** The names of these options, for a compression to add its own to. */
export const COMPRESSOR_OPTIONS: OptionNames<CompressorOptions> = {
  ...ENCODE_OPTIONS,
  maxDecodedBytes: true,
};

/**
 * Makes the codec from bytes to bytes of a compression.
 *
 * @throws `ERR_PARTD_VALUE` if `maxDecodedBytes` is not a positive number.
 */
export function compressorCodec(
  compressor: Compressor,
  options: CompressorOptions = {},
): Codec<Uint8Array> {
  const { maxDecodedBytes = DEFAULT_MAX_DECODED_BYTES } = options;
  if (typeof maxDecodedBytes !== "number" || !(maxDecodedBytes >= 1)) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `maxDecodedBytes must be a positive number of bytes, not ${String(maxDecodedBytes)}.`,
    );
  }
  return copies({
    name: compressor.name,
    encode(value) {
      if (!isBytes(value)) {
        throw new PartdError("ERR_PARTD_VALUE", "it takes a Uint8Array.");
      }
      if (lengthOf.call(value) === 0 && isLost(value)) {
        throw new PartdError("ERR_PARTD_VALUE", `it has lost its bytes: ${LOST_BYTES}`);
      }
      // An engine asks for `byteLength`: Node's zlib ends the process if that is more than there is.
      const bytes = viewOf(value);
      if (bytes.byteLength > maxDecodedBytes) {
        throw new PartdError(
          "ERR_PARTD_CODEC",
          `it has ${bytes.byteLength} bytes, and a frame of more than ${maxDecodedBytes} would not be read; append it in pieces, or raise maxDecodedBytes here and where it is read.`,
        );
      }
      return compressor.compress(bytes);
    },
    decode: (bytes) => compressor.decompress(bytes, maxDecodedBytes),
    join: joinBytes,
  });
}

/** @throws `ERR_PARTD_CODEC` if a frame decodes to more than `maxDecodedBytes`. */
export function checkDecodedSize(decodedBytes: number, maxDecodedBytes: number): void {
  if (decodedBytes <= maxDecodedBytes) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `it would decode to ${decodedBytes} bytes or more, and the limit is ${maxDecodedBytes}; raise maxDecodedBytes if the data is to be trusted.`,
  );
}

/**
 * Compresses with an engine that reads its input after the call has returned.
 *
 * @throws `ERR_PARTD_VALUE` if the memory of `bytes` was detached or resized meanwhile.
 */
export async function compressLater(
  bytes: Uint8Array,
  compress: (bytes: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { byteLength } = bytes;
  const compressed = await compress(bytes);
  if (bytes.byteLength === byteLength) return compressed;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    "its memory was transferred or resized while it was appended; wait for the append first.",
  );
}

/**
 * Call this before an engine that is WebAssembly: where that does not work, the engine's error would say
 * that the bytes are damaged. Some browsers lack WebAssembly, and a page may forbid it.
 *
 * @throws `ERR_PARTD_CODEC` if no module can be compiled.
 */
export function needWebAssembly(): void {
  if (works) return;
  try {
    new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)); // Empty.
    works = true;
  } catch (cause) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `it needs WebAssembly, which does not work here (${(cause as Error).message}); allow 'wasm-unsafe-eval' in the page's Content-Security-Policy, or use a compression without it, such as ZLib.`,
      { cause },
    );
  }
}

let works = false;

/** @throws `ERR_PARTD_VALUE` unless `value` is an integer from `min` to `max`. */
export function checkIntegerOption(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${name} must be an integer from ${min} to ${max}, not ${typeof value === "string" ? JSON.stringify(value) : String(value)}.`,
  );
}

const DEFAULT_MAX_DECODED_BYTES = 2 ** 30;

/**
 * Returns a single piece that fills its buffer without a copy: that is a tenth of the work at 1 MiB.
 */
function joinBytes(pieces: Uint8Array[]): Uint8Array {
  const [first] = pieces;
  return first && pieces.length === 1 && first.byteLength === first.buffer.byteLength
    ? first
    : concatBytes(pieces);
}
