import { PartdError } from "@partd/core";
import { type ByteBatch, RecordError, type Scan } from "@partd/records";

/**
 * What happens to records that lack a field of their key. `null` counts as present.
 *
 * - `"keep"`: `undefined` is a key like any other.
 * - `"skip"`: they are left out.
 * - `"error"`: the first one in the order of the source ends the run.
 * - A function: it gets the bytes of each in turn, which it may keep, and they are left out.
 */
export type Missing = "keep" | "skip" | "error" | ((record: Uint8Array) => void);

/** An option of operations by key. */
export interface MissingOption {
  /**
   * What happens to records without a field of their key: {@link Missing}. Default: they are kept, but
   * it is an error if no record has the field, whose name is then probably mistyped.
   */
  readonly missing?: Missing | undefined;
}

/** @throws `ERR_PARTD_VALUE` for any other value. */
export function missingOf({ missing = "keep" }: MissingOption): Missing {
  if (typeof missing === "function" || ["keep", "skip", "error"].includes(missing)) return missing;
  throw new PartdError("ERR_PARTD_VALUE", 'missing is "keep", "skip", "error" or a function.');
}

/**
 * The indices of the records that stay; `undefined` if all do.
 *
 * @throws `RecordError` with `ERR_PARTD_VALUE` if missing fields are an error.
 */
export function presentIn(
  scan: Scan,
  batch: ByteBatch,
  fields: readonly string[],
  missing: Missing,
): number[] | undefined {
  if (missing === "keep") return undefined;
  let present: number[] | undefined;
  for (let i = 0; i < scan.count; i++) {
    if (!scan.missing(i)) {
      present?.push(i);
      continue;
    }
    if (missing === "error") throw lacking(scan, batch, i, fields);
    present ??= Array.from({ length: i }, (_, n) => n);
    if (missing !== "skip")
      missing(new Uint8Array(scan.bytes.subarray(startOf(scan, i), scan.ends[i])));
  }
  return present;
}

/** The error for an object without its key. */
export function lackingKey(fields: readonly string[] | undefined): PartdError {
  const what = fields ? hasNo(fields) : "has no key";
  return new PartdError("ERR_PARTD_VALUE", `A record ${what}. ${ADVICE}`);
}

function lacking(scan: Scan, batch: ByteBatch, i: number, fields: readonly string[]): RecordError {
  const fault = { what: hasNo(fields), advice: ADVICE };
  return RecordError.ofRecord(batch, scan, i, fault, "ERR_PARTD_VALUE");
}

function hasNo(fields: readonly string[]): string {
  const names = fields.map((field) => JSON.stringify(field)).join(", ");
  return fields.length === 1 ? `has no field ${names}` : `lacks one of the fields ${names}`;
}

const ADVICE = 'Mend it, or set missing to "skip", or to "keep".';

function startOf(scan: Scan, i: number): number {
  return i === 0 ? 0 : scan.ends[i - 1]!;
}
