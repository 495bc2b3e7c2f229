import { PartdError } from "@partd/core";
import { parseFieldPath } from "../key/field-path.js";
import type { ByteBatch, OnReject, Scanner, ScannerOptions } from "../records.js";
import { openScanner } from "../scan/open-scanner.js";
import { newlines, RecordError } from "../scan/record-error.js";
import type { ScanPlan } from "../scan/record-matcher.js";
import { newlineCutter, type RecordCutter } from "../source/cut-batches.js";
import type { TextFormat } from "../source/text-format.js";
import { JsonMatcher } from "./json-matcher.js";
import { jsonText } from "./json-text.js";

export class NdjsonFormat<R> implements TextFormat<R> {
  readonly name = "ndjson";
  readonly header = undefined;
  readonly endsAtNewline = true;
  readonly #onReject: OnReject | undefined;

  constructor(onReject?: OnReject) {
    this.#onReject = onReject;
  }

  parse(bytes: Uint8Array, start = 0, end = bytes.length): R {
    try {
      return JSON.parse(decoder.decode(bytes.subarray(start, end)));
    } catch (cause) {
      const matcher = new JsonMatcher([]);
      matcher.next(bytes.subarray(start, end), 0);
      const fault = matcher.fault ?? { offset: 0, what: "is not JSON" };
      const place = { source: "<record>", isInFile: false, line: 1, byteOffset: 0 };
      const record = bytes.subarray(start, end);
      throw RecordError.at(place, record, 0, fault, "ERR_PARTD_CORRUPT", cause);
    }
  }

  serialize(record: R): Uint8Array {
    return encoder.encode(`${jsonText(record)}\n`);
  }

  scanner(fields: readonly string[], options?: ScannerOptions): Scanner {
    const { values = [], onReject = this.#onReject, totals = false, partners } = options ?? {};
    const paths = [...fields, ...values].map(parseFieldPath);
    const plan = { keys: fields.length, values: values.length, onReject, totals };
    return openScanner({ name: "ndjson", paths }, new JsonMatcher(paths), {
      ...plan,
      partners: partners && partnersOf(partners, fields.length),
    });
  }

  cutter(): RecordCutter {
    return newlineCutter;
  }

  preamble(): number {
    return 0;
  }

  /** Parses the batch as one text, which is fast; line by line if a line is malformed. */
  *parseBatch(batch: ByteBatch, onReject: OnReject | undefined): Generator<R> {
    let text: string | undefined;
    try {
      text = decoder.decode(batch.bytes);
    } catch {
      // It is not UTF-8, or longer than a string can be.
    }
    let start = 0; // In characters.
    let bytesStart = 0;
    while (text !== undefined && start < text.length) {
      let end = text.indexOf("\n", start);
      if (end < 0) end = text.length;
      const line = text.slice(start, end);
      let record: R;
      try {
        record = JSON.parse(line);
      } catch {
        if (/[^ \t\r]/.test(line)) break;
        start = end + 1;
        continue;
      }
      yield record;
      start = end + 1;
    }
    if (text !== undefined) {
      if (start >= text.length) return;
      bytesStart = Buffer.byteLength(text.slice(0, start));
    }
    const rest: ByteBatch = {
      bytes: batch.bytes.subarray(bytesStart),
      position: behind(batch, bytesStart),
      consumed: batch.consumed,
    };
    const scan = this.scanner([], { onReject }).scan(rest);
    for (let i = 0, from = 0; i < scan.count; i++) {
      const to = scan.ends[i]!;
      yield this.parse(scan.bytes, from, to);
      from = to;
    }
  }

  describe(): { readonly name: "ndjson" } {
    return { name: "ndjson" };
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function behind({ bytes, position }: ByteBatch, length: number): ByteBatch["position"] {
  let { line } = position;
  if (line !== undefined) line += newlines(bytes, 0, length);
  return { ...position, line, byteOffset: position.byteOffset + length };
}

function partnersOf(fields: readonly string[], keys: number): ScanPlan["partners"] {
  if (fields.length !== keys) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `Partners have their key in ${keys} fields, as the records do, not in ${fields.length}.`,
    );
  }
  const paths = fields.map(parseFieldPath);
  return { syntax: { name: "ndjson", paths }, matcher: new JsonMatcher(paths) };
}
