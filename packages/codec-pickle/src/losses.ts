import { brandOf, hasFields, isLost, lengthOf } from "@partd/core/author";
import { Refusal } from "./python/object.js";

/**
 * Refuses fields on an array, which would be lost. A hole reads as `undefined`, and is refused as
 * that.
 */
export function checkItems(value: readonly unknown[]): void {
  if (hasFields(value)) throw new Refusal(`fields on ${nameOf(value)}`);
  checkSymbols(value);
}

/** Refuses fields on a Map, Set or Date beyond those of its class, which would be lost. */
export function checkFields(value: object, own = 0): void {
  if (Object.keys(value).length > own) throw new Refusal(`fields on ${nameOf(value)}`);
  checkSymbols(value);
}

/** Refuses properties whose names are symbols, which would be lost. */
export function checkSymbols(value: object): void {
  if (Object.getOwnPropertySymbols(value).length === 0) return;
  throw new Refusal("a property whose name is a symbol");
}

/** Refuses a Map or the like that looks like an object, because its prototype or tag was changed. */
export function checkBrand(value: object): void {
  const brand = brandOf(value);
  if (brand !== undefined) throw new Refusal(`${brand} whose prototype or tag was changed`);
}

/** Refuses bytes that are none because their memory went. */
export function checkBytes(value: Uint8Array): void {
  if (lengthOf.call(value) > 0 || !isLost(value)) return;
  throw new Refusal("bytes whose buffer was transferred or made shorter");
}

export function nameOf(value: object): string {
  return `a ${value.constructor?.name ?? "value of this type"}`;
}
