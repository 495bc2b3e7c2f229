import { encodeKey, type Key, PartdError, type Store } from "@partd/core";
import { type AppendOptions, describeKey } from "@partd/core/author";
import { Unframed } from "./unframed.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

export interface LinesOptions {
  /**
   * Whether a value that something else wrote, and that does not end with a line feed, is given one
   * before lines are appended: they would continue its last line. The first append to a key through
   * this object reads the key's value for it, in pieces. Default true; false where all values were
   * written by `Lines`, and are large.
   */
  readonly mend?: boolean | undefined;
}

/**
 * A store of lists of lines over a store of bytes: each line is followed by a line feed, and a
 * value is a plain text file. What follows the last line feed of a file that something else wrote
 * is a line too, and stays one when lines are appended. `stream` yields lists of whole lines.
 *
 * A line is kept as it is, with any carriage return; one that holds a line feed is
 * `ERR_PARTD_CODEC`, as it would read back as two.
 *
 * @example new Lines(new Dict())
 */
export class Lines extends Unframed<string[]> {
  readonly #options: LinesOptions;
  /** Encoded keys whose value ends with a line feed, or is empty. */
  readonly #ended: Set<string>;

  constructor(store: Store, options?: LinesOptions);
  /** @internal `ended` are the keys that the store around is known to have. */
  constructor(store: Store, options?: LinesOptions, ended?: Set<string>);
  constructor(store: Store, options: LinesOptions = {}, ended = new Set<string>()) {
    super(store);
    this.#options = options;
    this.#ended = ended;
  }

  protected override async _append(
    store: Store,
    encoded: readonly (readonly [Key, Uint8Array])[],
    options?: AppendOptions,
  ): Promise<void> {
    const unknown = new Map<string, Key>();
    if (this.#options.mend !== false) {
      for (const [key, { byteLength }] of encoded) {
        const text = encodeKey(key);
        if (byteLength > 0 && !this.#ended.has(text)) unknown.set(text, key);
      }
    }
    let mended = encoded;
    if (unknown.size > 0) {
      const unended = await unendedKeys(store, unknown, options);
      if (unended.size > 0) {
        // Another may be about to do the same: looked at again where nobody else writes.
        await store.withLock(async (held) => {
          const still = await unendedKeys(held, unended, options);
          await held.append(
            [...[...still.values()].map((key) => [key, FEED] as const), ...mended],
            options,
          );
        }, options);
        mended = [];
      }
    }
    if (mended.length > 0) await store.append(mended, options);
    for (const text of unknown.keys()) this.#ended.add(text);
  }

  protected override _encode(lines: string[], key: Key): Uint8Array {
    if (!Array.isArray(lines)) throw refuse(key, "the value must be a list of lines");
    for (const [i, line] of lines.entries()) {
      if (typeof line !== "string") throw refuse(key, `item ${i} is not a string`);
      if (line.includes("\n")) throw refuse(key, `line ${i} holds a line feed; split it there`);
    }
    return encodeUtf8(lines.length === 0 ? "" : `${lines.join("\n")}\n`, key);
  }

  protected override _decode(bytes: Uint8Array, key: Key, offset: number): string[] {
    const lines = decodeUtf8(bytes, key, offset).split("\n");
    if (lines.at(-1) === "") lines.pop();
    return lines;
  }

  protected override _lastEnd(bytes: Uint8Array): number {
    return bytes.lastIndexOf(LINE_FEED) + 1;
  }

  protected override _over(store: Store): Lines {
    return new Lines(store, this.#options, this.#ended);
  }
}

const LINE_FEED = 10;
const FEED = Uint8Array.of(LINE_FEED);

/** Those of the keys whose value ends within a line. */
async function unendedKeys(
  store: Store,
  keys: ReadonlyMap<string, Key>,
  options: AppendOptions | undefined,
): Promise<Map<string, Key>> {
  const unended = new Map<string, Key>();
  const signal = options?.signal;
  for (const [text, key] of keys) {
    let last: number | undefined;
    for await (const piece of store.stream(key, signal && { signal })) last = piece.at(-1) ?? last;
    if (last !== undefined && last !== LINE_FEED) unended.set(text, key);
  }
  return unended;
}

function refuse(key: Key, reason: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CODEC",
    `The lines for key ${describeKey(key)} cannot be encoded: ${reason}.`,
    { key },
  );
}
