import { type Key, PartdError, type Store } from "@partd/core";
import { describeKey } from "@partd/core/author";
import { Unframed } from "./unframed.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

/**
 * A store of lists of lines over a store of bytes: each line is followed by a line feed, and a
 * value is a plain text file. What follows the last line feed of a file that something else wrote
 * is a line too. `stream` yields lists of whole lines.
 *
 * A line is kept as it is, with any carriage return; one that holds a line feed is
 * `ERR_PARTD_CODEC`, as it would read back as two.
 *
 * @example new Lines(new Dict())
 */
export class Lines extends Unframed<string[]> {
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
    return new Lines(store);
  }
}

const LINE_FEED = 10;

function refuse(key: Key, reason: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CODEC",
    `The lines for key ${describeKey(key)} cannot be encoded: ${reason}.`,
    { key },
  );
}
