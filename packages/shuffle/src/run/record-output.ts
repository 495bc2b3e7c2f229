import type { RecordCodec } from "../source/input.js";
import { oneAhead } from "./one-ahead.js";
import { Output } from "./output.js";
import { unparsed, type Visit } from "./walk.js";

/** The records that a run yields, parsed or as bytes. */
export class RecordOutput<R> extends Output<R> {
  readonly #generate: Generate;
  readonly #codec: RecordCodec<R>;

  /** @param generate begins the run, which yields after some records. */
  constructor(generate: Generate, codec: RecordCodec<R>, signal: AbortSignal | undefined) {
    super((signal) => decoded((visit) => generate(visit, signal), codec), signal);
    this.#generate = generate;
    this.#codec = codec;
  }

  /**
   * The records as bytes, end to end and never parsed: as they were in a source of bytes, otherwise
   * lines of JSON. Read either the records or the bytes, once.
   *
   * @throws `ERR_PARTD_CODEC` if objects hold what JSON cannot carry.
   */
  bytes(): AsyncIterable<Uint8Array> {
    const start = (signal: AbortSignal) =>
      oneAhead(bytesOf((visit) => this.#generate(visit, signal), this.#codec));
    return { [Symbol.asyncIterator]: () => this.begin(start) };
  }
}

/** Visits the records of a run; yields after some of them. */
export type Generate = (visit: Visit, signal: AbortSignal) => AsyncGenerator<void>;

async function* decoded<R>(
  generate: (visit: Visit) => AsyncGenerator<void>,
  codec: RecordCodec<R>,
): AsyncGenerator<readonly R[]> {
  let batch: R[] = [];
  const visit: Visit = (bytes, start, end) => {
    batch.push(codec.decode(bytes, start, end));
  };
  for await (const _ of generate(visit)) {
    if (batch.length === 0) continue;
    const full = batch;
    batch = [];
    yield full;
  }
  if (batch.length > 0) yield batch;
}

async function* bytesOf(
  generate: (visit: Visit) => AsyncGenerator<void>,
  codec: RecordCodec<unknown>,
): AsyncGenerator<Uint8Array> {
  let generator: AsyncGenerator<void> | undefined;
  try {
    yield* unparsed((visit) => {
      const started = generate(visit);
      generator = started;
      return async () => !(await started.next()).done;
    }, codec);
  } finally {
    await generator?.return(undefined);
  }
}
