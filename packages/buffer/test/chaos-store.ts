import { Dict, type OperationOptions, PartdError } from "@partd/core";
import type { AppendOptions, Batch, GetOptions } from "@partd/core/author";

/** Random numbers that are the same in each run: a linear congruential generator. */
export function randomFrom(seed: number): (below: number) => number {
  let state = (seed * 2654435761) % 0x7fffffff || 1;
  return (below) => {
    state = (state * 48271) % 0x7fffffff;
    return state % below;
  };
}

/** A store whose operations take a random while, and whose appends fail at random. */
export class ChaosStore extends Dict {
  /** Of a hundred appends, how many fail. */
  failures = 0;
  readonly #random: (below: number) => number;

  constructor(seed: number) {
    super();
    this.#random = randomFrom(seed);
  }

  protected override async _append(batch: Batch, options: AppendOptions): Promise<void> {
    await this.#delay();
    if (this.#random(100) < this.failures)
      throw new PartdError("ERR_PARTD_IO", "As ill luck has it.");
    await super._append(batch, options);
    await this.#delay();
  }

  protected override async _get(
    keys: readonly string[],
    options: GetOptions,
  ): Promise<Uint8Array[]> {
    await this.#delay();
    const values = await super._get(keys, options);
    await this.#delay();
    return values;
  }

  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    await this.#delay();
    return super._stream(key);
  }

  protected override async _delete(
    keys: readonly string[],
    _options?: OperationOptions,
  ): Promise<void> {
    await this.#delay();
    await super._delete(keys);
    await this.#delay();
  }

  async #delay(): Promise<void> {
    for (let turns = this.#random(4); turns > 0; turns--) {
      await new Promise<void>((next) => setImmediate(next));
    }
  }
}
