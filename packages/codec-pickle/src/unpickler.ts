import { PartdError } from "@partd/core";
import { ByteReader } from "./byte-reader.js";
import { Machine } from "./machine.js";
import type { PickleCodecOptions } from "./pickle.js";

/**
 * Reads pickles of all protocols. A pickle is a program; the {@link Machine} that runs it imports
 * and calls nothing.
 */
export class Unpickler {
  readonly #integers: "auto" | "number" | "bigint";
  readonly #maps: boolean;
  readonly #keep: boolean;

  constructor(options: PickleCodecOptions = {}) {
    this.#integers = options.integers ?? "auto";
    this.#maps = options.dicts === "map";
    this.#keep = options.objects === "keep";
  }

  /**
   * @throws `ERR_PARTD_CORRUPT` unless `bytes` are exactly one pickle; `ERR_PARTD_CODEC` for one
   *   that holds more than plain data.
   */
  load(bytes: Uint8Array): unknown {
    const input = new ByteReader(bytes);
    try {
      return new Machine(input, this.#integers, this.#maps, this.#keep).run();
    } catch (cause) {
      // ERR_PARTD_VALUE is what a constructor says to its caller, and here the bytes are at fault.
      if (cause instanceof PartdError && cause.code !== "ERR_PARTD_VALUE") throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `not a pickle that can be read: ${message} (Byte ${input.position} of the frame.)`,
        { cause },
      );
    }
  }
}
