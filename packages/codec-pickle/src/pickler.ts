import { PartdError } from "@partd/core";
import { placeOf } from "@partd/core/author";
import { Dump, LEAST_ROOM } from "./dump.js";
import { Refusal } from "./python/object.js";

/** Writes data as pickles that Python's `pickle.loads` reads. */
export class Pickler {
  readonly #protocol: number;
  /** The room of the last pickle and a little more: the next one may be similar, and need no growth. */
  #room = LEAST_ROOM;

  /** @throws `ERR_PARTD_VALUE` for a protocol other than 2 to 5. */
  constructor(protocol = 5) {
    if (![2, 3, 4, 5].includes(protocol)) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `The pickle protocol must be 2, 3, 4 or 5, not ${protocol}.`,
      );
    }
    this.#protocol = protocol;
  }

  /** @throws `ERR_PARTD_CODEC` for a value that would not read back as it was, with its place. */
  dump(value: unknown): Uint8Array {
    try {
      const bytes = new Dump(this.#protocol, this.#room).run(value);
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
      new Dump(this.#protocol).run(value);
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
