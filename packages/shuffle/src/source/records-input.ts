import type { ByteBatch, Records, Scan } from "@partd/records";
import { batchOptions, type Reading, whereParsed } from "../run/record-limit.js";
import type { Input, Keyer } from "./input.js";
import { KeyColumns } from "./key-columns.js";
import { type KeyedBatch, selectedRecords } from "./keyed-batch.js";

/** The records of a reader, in their original bytes. */
export class RecordsInput<R> implements Input<R> {
  consumed = 0;
  readonly #records: Records<R>;
  readonly #keyer: Keyer<R>;

  constructor(records: Records<R>, keyer: Keyer<R>) {
    this.#records = records;
    this.#keyer = keyer;
  }

  byteLength(): Promise<number | undefined> {
    return this.#records.byteLength();
  }

  async *batches(reading: Reading): AsyncGenerator<KeyedBatch> {
    const scans = this.#keyer.scan
      ? this.#keyer.scan(this.#records, reading)
      : scanAll(this.#records, [], whereParsed(reading), parsing(this.#records, this.#keyer));
    for await (const { batch, consumed } of scans) {
      this.consumed = consumed;
      if (batch.count > 0) yield batch;
    }
    this.#keyer.end?.();
  }

  decode(bytes: Uint8Array, start: number, end: number): R {
    const { format } = this.#records;
    return format.parseScanned
      ? format.parseScanned(bytes, start, end)
      : format.parse(bytes, start, end);
  }

  get isJson(): boolean {
    return this.#records.format.name === "ndjson";
  }

  checkBytes(): void {}
}

export function isRecords<R>(source: AsyncIterable<R> | Iterable<R>): source is Records<R> {
  const records = source as Partial<Records<R>>;
  return typeof records.batches === "function" && typeof records.format?.scanner === "function";
}

/**
 * Scans each batch of a reader for fields, and keys it.
 *
 * @param values further fields whose numbers the scans return.
 */
export async function* scanAll<R>(
  records: Records<R>,
  fields: readonly string[],
  reading: Reading,
  toKeyed: (scan: Scan, batch: ByteBatch) => KeyedBatch = (scan) => scan,
  values: readonly string[] = [],
): AsyncGenerator<{ batch: KeyedBatch; consumed: number }> {
  const scanner = records.format.scanner(fields, { values });
  for await (const batch of records.batches(batchOptions(reading)) as AsyncIterable<ByteBatch>) {
    yield { batch: toKeyed(scanner.scan(batch), batch), consumed: batch.consumed };
  }
}

/** Keys records by parsing each, for a key that a function gives. */
function parsing<R>(records: Records<R>, keyer: Keyer<R>): (scan: Scan) => KeyedBatch {
  return keyedBy((scan, i, columns) => {
    const start = i === 0 ? 0 : scan.ends[i - 1]!;
    const end = scan.ends[i]!;
    const bytes = () => new Uint8Array(scan.bytes.subarray(start, end));
    return keyer.writeKey(records.format.parse(scan.bytes, start, end), columns, bytes);
  });
}

/** Writes the keys of batches one by one; a record without a key is left out. */
export function keyedBy(
  write: (scan: Scan, i: number, columns: KeyColumns) => boolean,
): (scan: Scan) => KeyedBatch {
  const columns = new KeyColumns();
  return (scan) => {
    columns.clear();
    let present: number[] | undefined;
    for (let i = 0; i < scan.count; i++) {
      if (write(scan, i, columns)) present?.push(i);
      else present ??= Array.from({ length: i }, (_, n) => n);
    }
    const { count, keys, keyStarts, keyEnds, hashLow, hashHigh } = columns;
    const { bytes, ends } = present ? selectedRecords(scan, present) : scan;
    return { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh };
  };
}
