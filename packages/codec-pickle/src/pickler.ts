import { PartdError } from "@partd/core";
import { Dump } from "./dump.js";
import type { PickleOptions } from "./options.js";

/** Writes plain data as pickles that Python's `pickle.loads` reads. */
export class Pickler {
  readonly #protocol: number;

  /** @throws `ERR_PARTD_VALUE` for another protocol than 2 to 5. */
  constructor(options: PickleOptions = {}) {
    this.#protocol = options.protocol ?? 5;
    if (![2, 3, 4, 5].includes(this.#protocol)) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `The pickle protocol must be 2, 3, 4 or 5, not ${this.#protocol}.`,
      );
    }
  }

  /** @throws `ERR_PARTD_CODEC` for what would not read back as it is. */
  dump(value: unknown): Uint8Array {
    return new Dump(this.#protocol).run(value);
  }
}
