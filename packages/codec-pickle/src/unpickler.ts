import { PartdError } from "@partd/core";
import { ByteReader } from "./byte-reader.js";
import { Machine } from "./machine.js";
import { Op } from "./opcodes.js";

/** What a pickle is read as. */
export interface UnpickleOptions {
  /**
   * How ints are read.
   * - `"auto"`, the default: as a number within ±(2^53 - 1), else as a BigInt.
   * - `"number"`: as numbers; an int that would be rounded is `ERR_PARTD_CODEC`.
   * - `"bigint"`: always as a BigInt.
   */
  readonly integers?: "auto" | "number" | "bigint" | undefined;
  /**
   * How dicts are read. `"auto"`, the default: as an object if all keys are strings, else as a
   * `Map`. `"map"`: always as a `Map`, which also keeps the order of keys such as `"7"`.
   */
  readonly dicts?: "auto" | "map" | undefined;
  /**
   * How objects of unknown types are read. `"refuse"`, the default: `ERR_PARTD_CODEC`, with the
   * name of the type. `"keep"`: as a `PyObject`, or as a `PyGlobal` for a class or function.
   * Nothing is imported or called, and they are written as they were read.
   */
  readonly objects?: "refuse" | "keep" | undefined;
}

/**
 * Reads pickles of all protocols. A pickle is a program; the {@link Machine} that runs it imports
 * and calls nothing.
 */
export class Unpickler {
  readonly #integers: "auto" | "number" | "bigint";
  readonly #maps: boolean;
  readonly #keep: boolean;

  constructor(options: UnpickleOptions = {}) {
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
      // A constructor's ERR_PARTD_VALUE blames its caller; here the bytes are at fault.
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

/**
 * Whether the bytes begin as a pickle of protocol 2 to 5 does: with the opcode PROTO and the protocol.
 * In MessagePack, 0x80 is an empty map, after which nothing may follow.
 */
export function isPickle([opcode, protocol = 0]: Uint8Array): boolean {
  return opcode === Op.PROTO && protocol >= 2 && protocol <= 5;
}
