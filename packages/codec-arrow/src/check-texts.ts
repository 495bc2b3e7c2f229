import { PartdError } from "@partd/core";
import type { Field, Schema } from "apache-arrow";

/**
 * Refuses names and metadata with half a surrogate pair, which `apache-arrow` would write as U+FFFD.
 *
 * @throws `ERR_PARTD_CODEC` with the place of the text.
 */
export function checkTexts({ fields, metadata }: Schema): void {
  checkMetadata(metadata, "the schema");
  for (const field of fields) checkField(field, "");
}

function checkField({ name, type, metadata }: Field, path: string): void {
  const place = `${path}${JSON.stringify(name)}`;
  check(name, `the name of column ${place}`);
  checkMetadata(metadata, `column ${place}`);
  for (const child of (type.children ?? []) as Field[]) checkField(child, `${place}.`);
}

function checkMetadata(metadata: ReadonlyMap<string, string>, place: string): void {
  for (const [key, value] of metadata) {
    check(key, `the metadata's key ${JSON.stringify(key)} of ${place}`);
    check(value, `the metadata ${JSON.stringify(key)} of ${place}`);
  }
}

function check(text: unknown, place: string): void {
  if (typeof text !== "string" || text.isWellFormed()) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `${place} has half a surrogate pair, which has no UTF-8 form; replace it, for example with toWellFormed().`,
  );
}
