import type { RecordCutter } from "../source/cut-batches.js";
import type { CsvSyntax } from "./csv-matcher.js";

/**
 * Finds the newlines that end rows: those outside quotes. It hops from quote to quote, since
 * `indexOf` is memchr, and takes malformed rows as the matcher does: a quote inside a field without
 * quotes is text.
 */
export class CsvCutter implements RecordCutter {
  readonly #delimiter: number;
  /** Where the bytes up to `seen` ended: outside quotes, inside, or on a quote that may be doubled. */
  #state: "outside" | "inside" | "on quote" = "outside";

  constructor(syntax: CsvSyntax) {
    this.#delimiter = syntax.delimiter;
  }

  cut(bytes: Uint8Array, seen: number, length: number): number {
    let rowEnd = 0;
    let at = seen;
    while (at < length) {
      if (this.#state === "on quote") {
        const isDoubled = bytes[at] === QUOTE;
        this.#state = isDoubled ? "inside" : "outside";
        if (isDoubled) at++;
        continue;
      }
      let quote = bytes.indexOf(QUOTE, at);
      if (quote >= length) quote = -1;
      if (this.#state === "inside") {
        if (quote < 0) break;
        this.#state = "on quote";
        at = quote + 1;
        continue;
      }
      const gapEnd = quote < 0 ? length : quote;
      const newline = bytes.subarray(at, gapEnd).lastIndexOf(LF);
      if (newline >= 0) rowEnd = at + newline + 1;
      if (quote < 0) break;
      const before = quote === 0 ? LF : bytes[quote - 1];
      if (before === LF || before === this.#delimiter) this.#state = "inside";
      at = quote + 1;
    }
    return rowEnd;
  }
}

const LF = 0x0a;
const QUOTE = 0x22;
