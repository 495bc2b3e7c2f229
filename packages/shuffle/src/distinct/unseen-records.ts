import type { Records, Scan, Scanner } from "@partd/records";
import { batchOptions, type Reading } from "../run/record-limit.js";
import { type KeyedBatch, selected } from "../source/keyed-batch.js";
import { type Missing, presentIn } from "../source/missing.js";

/** The fields by which the records of a reader are keyed. */
export interface KeyFields {
  readonly fields: readonly string[];
  readonly missing: Missing;
}

/** A batch of records, and whether all their keys are new. */
export interface UnseenBatch {
  readonly batch: KeyedBatch;
  readonly areNew: boolean;
}

/**
 * Keys records by fields, and leaves out most of those whose key has come before: the scanner's own
 * table of keys finds them in half the time. Once the table is full, or if keys rarely repeat, it
 * yields all records.
 *
 * @param mostBytes memory for the table.
 */
export async function* unseenRecords(
  sources: Iterable<Records<unknown>>,
  { fields, missing }: KeyFields,
  mostBytes: number,
  reading: Reading,
  onRead: (scan: Scan, consumed: number) => void,
): AsyncGenerator<UnseenBatch> {
  let scanner: Scanner | undefined;
  let isFull = false;
  let areAllAdded = true;
  let scanned = 0;
  let unseen = 0;
  for (const records of sources) {
    scanner ??= records.format.scanner(fields, { totals: !isFull });
    for await (const batch of records.batches(batchOptions(reading))) {
      const scan: Scan = scanner.scan(batch);
      onRead(scan, batch.consumed);
      const present = presentIn(scan, batch, fields, missing);
      const { totals }: Scanner = scanner;
      if (present || !totals?.add(scan)) {
        areAllAdded = false;
        yield { batch: present ? selected(scan, present) : scan, areNew: false };
        continue;
      }
      const firsts = totals.firsts();
      scanned += scan.count;
      unseen += firsts.length;
      isFull = totals.byteLength > mostBytes || (scanned > FIRST_RECORDS && 2 * unseen > scanned);
      yield { batch: selected(scan, firsts), areNew: areAllAdded };
      // Replacing the scanner frees the table.
      if (isFull) scanner = records.format.scanner(fields);
    }
  }
}

/** This many records tell how often keys repeat. */
const FIRST_RECORDS = 50_000;
