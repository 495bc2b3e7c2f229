import { decodeGroupKey, KEY_TAG } from "../key/group-key.js";
import type { ByteBatch, OnReject, Partners, Scan, Scanner, Totals } from "../records.js";
import type { RecordMatcher, ScanPlan, WasmSyntax } from "./record-matcher.js";
import { RecordReader } from "./record-reader.js";
import { ScanMemory } from "./wasm-memory.js";
import { WasmScan } from "./wasm-scan.js";

/**
 * A scanner in WebAssembly, about ten times as fast as the plain one, which takes over for each
 * difficult record: see `scan.c`.
 */
export class WasmScanner implements Scanner {
  readonly totals: Totals | undefined;
  readonly partners: Partners | undefined;
  readonly #isCsv: boolean;
  readonly #values: number;
  readonly #hasKey: boolean;
  readonly #syntax: WasmSyntax;
  readonly #reader: RecordReader;
  readonly #onReject: OnReject | undefined;
  readonly #memory: ScanMemory;
  #last: Scan | undefined;

  /**
   * The scanner, or `undefined` if this runtime has no WebAssembly or there are too many fields.
   */
  static create(
    syntax: WasmSyntax,
    matcher: RecordMatcher,
    plan: ScanPlan,
  ): WasmScanner | undefined {
    const memory = ScanMemory.create(syntax, plan);
    return memory && new WasmScanner(memory, syntax, matcher, plan);
  }

  private constructor(
    memory: ScanMemory,
    syntax: WasmSyntax,
    matcher: RecordMatcher,
    { keys, values, onReject, totals: keepsTotals, partners }: ScanPlan,
  ) {
    this.#memory = memory;
    this.#syntax = syntax;
    this.#isCsv = syntax.name === "csv";
    this.#values = values;
    this.#hasKey = keys > 0;
    this.#reader = new RecordReader(matcher, keys, values);
    this.#onReject = onReject;
    const { totals } = memory;
    if (totals && keepsTotals) {
      this.totals = {
        add: (scan) => scan === this.#last && memory.addToTotals(),
        firsts: () => memory.newKeys(),
        take: () => totals.take(),
        get byteLength() {
          return totals.byteLength;
        },
      };
    }
    const kept = memory.partners;
    if (totals && kept && partners) {
      const reader = new RecordReader(partners.matcher, keys, 0);
      this.partners = {
        keep: (batch) => this.#keep(batch, partners.syntax, reader),
        lines: (scan, kind) =>
          scan === this.#last ? memory.lines(JOIN_KINDS.indexOf(kind)) : undefined,
        get byteLength() {
          return totals.byteLength + kept.used;
        },
      };
    }
  }

  /** @param batch - At most {@link ScanMemory.MOST_BYTES} long. */
  scan(batch: ByteBatch): Scan {
    const memory = this.#memory;
    this.#last = undefined;
    memory.find(this.#syntax);
    memory.load(batch.bytes, this.totals !== undefined);
    while (memory.scan(this.#isCsv) === "ask") this.#ask(batch, this.#reader);
    this.#last = new WasmScan(memory, batch.bytes, this.#values);
    return this.#last;
  }

  /** Holds the records of a batch, unless it is too large, or all that is held. */
  #keep(batch: ByteBatch, syntax: WasmSyntax, reader: RecordReader): boolean {
    const memory = this.#memory;
    this.#last = undefined;
    const { length } = batch.bytes;
    if (length > ScanMemory.MOST_BYTES || memory.partners!.used > MOST_KEPT) return false;
    memory.find(syntax);
    memory.load(batch.bytes, true);
    while (memory.scan(this.#isCsv) === "ask") this.#ask(batch, reader);
    if (memory.keyBytesAtMost > 2 * length) return false; // The room for the batch's keys.
    memory.exports.keepRecords();
    return true;
  }

  /** Lets the plain scanner read the record at which the scan stopped. */
  #ask(batch: ByteBatch, reader: RecordReader): void {
    const memory = this.#memory;
    const start = memory.at;
    const end = reader.read(batch, start);
    if (reader.error) {
      if (!this.#onReject) throw reader.error;
      this.#onReject({
        bytes: new Uint8Array(batch.bytes.subarray(start, end)),
        error: reader.error,
      });
    } else if (!reader.isBlank) {
      if (this.#hasKey) {
        // `scan.c` looks for null only in lists of JSON.
        const isLone = memory.partners && reader.key[0] === KEY_TAG.list && hasNull(reader.key);
        memory.addKey(reader.key, isLone || reader.isMissing);
      }
      for (let value = 0; value < this.#values; value++) {
        memory.setNumber(value, reader.kinds[value]!, reader.numbers[value]!);
      }
      memory.keep(end - start);
    }
    memory.at = end;
  }
}

function hasNull(list: Uint8Array): boolean {
  return (decodeGroupKey(list) as readonly unknown[]).includes(null);
}

/** In the order of `scan.c`. */
const JOIN_KINDS = ["inner", "left", "semi", "anti"];
/** Bytes of kept records: memory ends at 4 GiB. */
const MOST_KEPT = 2 ** 30;
