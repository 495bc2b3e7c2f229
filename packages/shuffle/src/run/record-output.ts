import type { RecordCodec } from "../source/input.js";
import { Output } from "./output.js";
import { decoded, unparsed, type Visit } from "./walk.js";

/** Records that a run yields, parsed or as bytes. */
export class RecordOutput<R> extends Output<R> {
  readonly #walk: (visit: Visit) => AsyncGenerator<void>;
  readonly #codec: RecordCodec<R>;

  constructor(walk: (visit: Visit) => AsyncGenerator<void>, codec: RecordCodec<R>) {
    super(() => decoded(walk, codec));
    this.#walk = walk;
    this.#codec = codec;
  }

  /**
   * The records as bytes, end to end and never parsed: as they were in a source of bytes, else lines of
   * JSON. In place of the records: either can be read, once.
   *
   * @throws `ERR_PARTD_CODEC` where objects hold what JSON cannot carry.
   */
  bytes(): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => this.begin(() => unparsed(this.#walk, this.#codec)) };
  }
}
