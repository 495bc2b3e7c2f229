import { type Key, PartdError } from "@partd/core";
import { describeKey, suffixKey } from "@partd/core/author";
import type { Dtype } from "./dtype.js";

/** The key that holds the dtype of `key`, as in Python's partd: `<key>.dtype`. */
export function dtypeKey(key: Key): Key {
  return suffixKey(key, ".dtype");
}

export function dtypeEntry(key: Key, dtype: Dtype): readonly [Key, Uint8Array] {
  return [dtypeKey(key), encoder.encode(dtype.text)];
}

export function checkKey(key: Key): void {
  if (!isDtypeKey(key)) return;
  throw new PartdError(
    "ERR_PARTD_KEY",
    `The key ${describeKey(key)} ends in ".dtype", as the keys do that say what an array is; use another name.`,
    { key },
  );
}

export function isDtypeKey(key: Key): boolean {
  const last = typeof key === "string" ? key : (key.parts.at(-1) as string);
  return last.endsWith(".dtype");
}

export function withDtypes(keys: readonly Key[]): Key[] {
  return [...keys, ...keys.map(dtypeKey)];
}

export function noDtype(key: Key): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The key ${describeKey(key)} holds bytes but no dtype (${describeKey(dtypeKey(key))}); it was not written through NdArray, or half of it was deleted.`,
    { key, offset: 0 },
  );
}

const encoder = new TextEncoder();
