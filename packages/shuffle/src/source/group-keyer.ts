import { encodeGroupKey } from "@partd/records";
import { type By, fieldsOf, keyFunction } from "./by.js";
import { FieldWatch } from "./field-watch.js";
import { type Keyer, scanAll } from "./input.js";
import type { KeyColumns } from "./key-columns.js";
import { selected } from "./keyed-batch.js";
import { lackingKey, type Missing, type MissingOption, missingOf, presentIn } from "./missing.js";

/** Keys records for grouping. */
export class GroupKeyer<R> implements Keyer<R> {
  /** The fields of the key; `undefined` if a function makes it. */
  readonly fields: readonly string[] | undefined;
  readonly scan: Keyer<R>["scan"];
  readonly missing: Missing;
  /** Set if keys are fields, and nothing is said about records that lack them. */
  readonly watch: FieldWatch | undefined;
  readonly #key: (record: R) => unknown;

  /** @param side of a join, for messages. */
  constructor(by: By<R>, options: MissingOption = {}, side?: "left" | "right") {
    const fields = fieldsOf(by);
    const missing = missingOf(options);
    this.fields = fields;
    this.missing = missing;
    this.watch = fields && options.missing === undefined ? watchFor(fields, side) : undefined;
    this.#key = keyFunction(by);
    this.scan =
      fields &&
      ((records, reading) => {
        return scanAll(records, fields, reading, (scan, batch) => {
          this.watch?.scanned(scan, records);
          const indices = presentIn(scan, batch, fields, missing);
          return indices ? selected(scan, indices) : scan;
        });
      });
  }

  writeKey(record: R, columns: KeyColumns, bytes: () => Uint8Array): boolean {
    this.watch?.parsed(record);
    const key = this.#key(record);
    if (this.missing !== "keep" && isMissing(key)) {
      if (this.missing === "error") throw lackingKey(this.fields);
      if (this.missing !== "skip") this.missing(bytes());
      return false;
    }
    if (typeof key === "string" || (typeof key === "number" && Number.isFinite(key))) {
      columns.addText(JSON.stringify(key));
    } else {
      columns.addKey(encodeGroupKey(key));
    }
    return true;
  }

  end(): void {
    this.watch?.end();
  }
}

function watchFor(fields: readonly string[], side: "left" | "right" | undefined): FieldWatch {
  if (side === undefined) {
    return new FieldWatch(fields, "", 'If they are to be without it, set missing to "keep".');
  }
  const name = side === "left" ? "by" : "rightBy";
  const advice = `The fields of the ${side} side are ${name}; where it may lack them, let ${name} be a function.`;
  return new FieldWatch(fields, ` on the ${side}`, advice);
}

function isMissing(key: unknown): boolean {
  return key === undefined || (Array.isArray(key) && key.includes(undefined));
}
