import { PartdError } from "@partd/core";
import { placeOf } from "@partd/core/author";
import { Dump } from "./dump.js";
import { Refusal } from "./python/object.js";

/** Writes data as pickles that Python's `pickle.loads` reads. */
export class Pickler {
  readonly #protocol: number;

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
      return new Dump(this.#protocol).run(value);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const place = placeOf(value, (part) => this.#refuses(part));
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `${place === "" ? "" : `${place} is refused: `}a pickle cannot carry ${error.message}.`,
      );
    }
  }

  #refuses(value: unknown): boolean {
    try {
      new Dump(this.#protocol).run(value);
      return false;
    } catch (error) {
      return error instanceof Refusal;
    }
  }
}
