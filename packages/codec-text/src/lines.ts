import { encodeKey, type Key, PartdError, type Store } from "@partd/core";
import { type AppendOptions, describeKey, hasFields, takeOptions } from "@partd/core/author";
import { Unframed } from "./unframed.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

export interface LinesOptions {
  /**
   * Whether to end an unfinished last line, which only another program leaves, before lines are
   * appended: they would continue it. This reads the key's value, in pieces, before the first
   * append to that key through this object. Default true; set it to false when `Lines` wrote all
   * values and they are large.
   */
  readonly mend?: boolean | undefined;
}

/**
 * A store of lists of lines over a store of bytes. Each line is followed by a line feed, so a value
 * is a plain text file. Text after the last line feed, which only another program leaves, is a line
 * too, and stays one when lines are appended. `stream` yields lists of whole lines.
 *
 * A line is kept unchanged, with any carriage return. A line that contains a line feed is
 * `ERR_PARTD_CODEC`, because it would read back as two.
 *
 * @example new Lines(new Dict())
 */
export class Lines extends Unframed<string[]> {
  readonly #options: LinesOptions;
  /** Encoded keys whose value ends with a line feed, or is empty. */
  readonly #ended: Set<string>;

  constructor(store: Store, options?: LinesOptions);
  /** @internal `ended` is shared with the store that `withLock` locks. */
  constructor(store: Store, options?: LinesOptions, ended?: Set<string>);
  constructor(store: Store, options: LinesOptions = {}, ended = new Set<string>()) {
    const names = { mend: "boolean" } as const;
    const taken = takeOptions("new Lines", options, names, new.target !== Lines);
    super(store);
    this.#options = taken;
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
        // Another writer may end the same lines: check again under the lock.
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
    if (hasFields(lines)) throw refuse(key, "the list has fields of its own, which would be lost");
    const { length } = lines; // By index: a list may be an array with a prototype of its own.
    for (let i = 0; i < length; i++) {
      const line: unknown = lines[i];
      if (typeof line !== "string") throw refuse(key, `item ${i} is not a string`);
      if (line.includes("\n")) throw refuse(key, `line ${i} holds a line feed; split it there`);
    }
    return encodeUtf8(length === 0 ? "" : `${join.call(lines, "\n")}\n`, key);
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

const { join } = Array.prototype as string[];
const LINE_FEED = 10;
const FEED = Uint8Array.of(LINE_FEED);

/** The keys whose value does not end with a line feed. */
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
