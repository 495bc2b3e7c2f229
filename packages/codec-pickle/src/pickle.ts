import { type Codec, Encode, type EncodeOptions, PartdError, type Store } from "@partd/core";
import {
  ENCODE_OPTIONS,
  joinLists,
  type OptionNames,
  placeOf,
  takeOptions,
} from "@partd/core/author";
import { Dump, LEAST_ROOM } from "./dump.js";
import { Machine } from "./machine.js";
import { OpcodeReader } from "./opcode-reader.js";
import { Op } from "./opcodes.js";
import { Refusal } from "./python/object.js";

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
   * name of the type, also when one is appended. `"keep"`: as a `PyObject`, or as a `PyGlobal` for a
   * class or function.
   * Nothing is imported or called, and they are written as they were read.
   */
  readonly objects?: "refuse" | "keep" | undefined;
}

export interface PickleCodecOptions extends UnpickleOptions {
  /** The protocol to write, 2 to 5. Default 5, Python's highest; Python before 3.8 reads up to 4. */
  readonly protocol?: 2 | 3 | 4 | 5 | undefined;
}

export type PickleOptions = PickleCodecOptions & EncodeOptions;

const OPTIONS: OptionNames<PickleOptions> = {
  ...ENCODE_OPTIONS,
  integers: ["auto", "number", "bigint"],
  dicts: ["auto", "map"],
  objects: ["refuse", "keep"],
  protocol: true,
};

/**
 * A store of lists of Python data over a store of bytes: `append` adds a list's items to a key's
 * list, and `get` returns all of them. `stream` yields the lists as they were appended. The bytes
 * are those of Python's `partd.Pickle`. Nothing in a pickle is ever imported or called.
 *
 * @typeParam T the item type; reads do not check it.
 * @example new Pickle<{ delay: number }>(new Dict())
 */
export class Pickle<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options: PickleOptions = {}) {
    const taken = takeOptions("new Pickle", options, OPTIONS, new.target !== Pickle);
    super(store, pickleCodec<T>(taken), taken);
  }
}

/**
 * Lists of Python data, each list as one pickle. All protocols are read. The README maps Python's
 * types to those here.
 *
 * Shared and circular references are kept. A pickle that asks for anything else is
 * `ERR_PARTD_CODEC`, and so is a value that would not read back as it was. Bytes of 4 KiB or more
 * are views of the frame that was read, and keep it in memory; fewer are a copy.
 *
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */
export function pickleCodec<T = unknown>(options: PickleCodecOptions = {}): Codec<T[]> {
  const pickler = new Pickler(options.protocol, options.objects);
  const unpickler = new Unpickler(options);
  return {
    name: "pickle",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of values.");
      return pickler.dump(list);
    },

    decode(bytes) {
      const list = unpickler.load(bytes);
      if (!Array.isArray(list)) {
        throw refuse("it is a pickle, but not of a list; write a list, also of one item.");
      }
      return list as T[];
    },

    join: joinLists,
  };
}

function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", reason);
}

/** Writes data as pickles that Python's `pickle.loads` reads. */
export class Pickler {
  readonly #protocol: number;
  readonly #keep: boolean;
  /** The room of the last pickle and a little more: the next one may be similar, and need no growth. */
  #room = LEAST_ROOM;

  /**
   * @param objects whether objects of unknown types are written, which an {@link Unpickler} reads only
   *   with the same.
   * @throws `ERR_PARTD_VALUE` for a protocol other than 2 to 5.
   */
  constructor(protocol = 5, objects: "refuse" | "keep" = "refuse") {
    if (![2, 3, 4, 5].includes(protocol)) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `The pickle protocol must be 2, 3, 4 or 5, not ${protocol}.`,
      );
    }
    this.#protocol = protocol;
    this.#keep = objects === "keep";
  }

  /** @throws `ERR_PARTD_CODEC` for a value that would not read back as it was, with its place. */
  dump(value: unknown): Uint8Array {
    try {
      const bytes = new Dump(this.#protocol, this.#keep, this.#room).run(value);
      this.#room = Math.min(bytes.byteLength + LEAST_ROOM, MOST_ROOM);
      return bytes;
    } catch (error) {
      if (error instanceof RangeError) throw error; // Memory or stack: not the fault of one part.
      const place = placeOf(value, (part) => this.#refuses(part));
      const reason = describe(error);
      throw new PartdError(
        "ERR_PARTD_CODEC",
        place === "" ? reason : `${place} is refused: ${reason}`,
        { cause: error },
      );
    }
  }

  #refuses(value: unknown): boolean {
    try {
      new Dump(this.#protocol, this.#keep).run(value);
      return false;
    } catch {
      return true;
    }
  }
}

const MOST_ROOM = 2 ** 18;

/** A getter of the value, or a proxy, may throw anything. */
function describe(error: unknown): string {
  if (error instanceof Refusal) return `a pickle cannot carry ${error.message}.`;
  return `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
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
    const input = new OpcodeReader(bytes);
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
