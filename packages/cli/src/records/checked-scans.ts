import type { ByteBatch, RecordFormat, Scan, Scanner, ScannerOptions } from "@partd/records";
import { showBytes } from "../command/quantity.js";
import { typed } from "./field-search.js";
import type { RecordPlaces } from "./record-places.js";
import type { SourceOptions } from "./record-source.js";
import { recordOf } from "./record-text.js";

type Wanted = Pick<SourceOptions, "required" | "isStrict" | "longestKey" | "onReject">;

/** Scanners of one input whose records are counted, checked and rejected once, however many scan them. */
export class CheckedScans {
  /** Records that were scanned. */
  records = 0;
  readonly #format: RecordFormat<unknown>;
  readonly #options: Wanted;
  readonly #places: RecordPlaces;
  /** The batch whose records were counted last. */
  #counted: ByteBatch | undefined;

  constructor(format: RecordFormat<unknown>, options: Wanted, places: RecordPlaces) {
    this.#format = format;
    this.#options = options;
    this.#places = places;
  }

  /**
   * A scanner that also counts records, collects rejects and checks required fields, so that no record
   * is scanned twice.
   */
  scanner(fields: readonly string[], options?: ScannerOptions): Scanner {
    const { required, isStrict, onReject } = this.#options;
    let isFirst = true;
    const scanner = this.#format.scanner(fields, {
      ...options,
      // A second scan of a batch rejects the same records.
      onReject: onReject && ((rejected) => isFirst && onReject(rejected)),
    });
    const isSame = fields.length === required.length && required.every((f, i) => f === fields[i]);
    const own = isSame || !isStrict ? undefined : this.#format.scanner(required);
    return {
      get totals() {
        return scanner.totals;
      },
      scan: (batch) => {
        isFirst = this.#counted !== batch;
        try {
          const scan = scanner.scan(batch);
          if (isFirst) this.records += scan.count;
          this.#counted = batch;
          this.#refuseLongKeys(batch, scan);
          if (isStrict && required.length > 0) {
            this.#requireFields(batch, own?.scan(batch) ?? scan);
          }
          return scan;
        } catch (error) {
          throw this.#places.told(error);
        }
      },
    };
  }

  /**
   * Refuses long keys, because a key is in memory several times: as it is read, grouped or sorted, and
   * named.
   */
  #refuseLongKeys(batch: ByteBatch, scan: Scan): void {
    const { longestKey } = this.#options;
    const { bytes, count, keyStarts, keyEnds } = scan;
    if (bytes.length <= longestKey || keyEnds.length === 0) return;
    for (let i = 0; i < count; i++) {
      const length = (keyEnds[i] as number) - (keyStarts[i] as number);
      if (length <= longestKey) continue;
      const what = `has a key of ${showBytes(length)}; a key may have ${showBytes(longestKey)}, more with a larger --memory`;
      throw this.#places.failureAt(batch, scan, i, what);
    }
  }

  #requireFields(batch: ByteBatch, scan: Scan): void {
    for (let i = 0; i < scan.count; i++) {
      if (!scan.missing(i)) continue;
      const field = typed(this.#lacking(batch, recordOf(scan, i)));
      throw this.#places.failureAt(batch, scan, i, `has no field ${field}`);
    }
  }

  /** The first required field that a record lacks. */
  #lacking(batch: ByteBatch, bytes: Uint8Array): string {
    const { required } = this.#options;
    const lacks = (field: string) =>
      this.#format
        .scanner([field])
        .scan({ ...batch, bytes })
        .missing(0);
    return required.length === 1 ? (required[0] as string) : (required.find(lacks) ?? "");
  }
}
