import { decodeKey, encodeKey, type Key } from "@partd/core";
import { nearest, sizesOf } from "@partd/core/author";
import type { Call } from "../command/command.js";
import { Failure } from "../command/failure.js";
import type { DataSet } from "./data-set.js";

/** A key as it is printed: one line of plain characters, from which `parseKey` makes the key again. */
export function showKey(key: Key): string {
  return encodeKey(key);
}

/** The beginning of a printed key as it is typed, where that has characters that are escaped. */
export function escapedText(typed: string): string {
  return typed.replace(/[^\x20-\x7e]+/gu, (text) => encodeKey(text));
}

/** A key in JSON: a string, or a list of a tuple's parts. */
export function jsonKey(key: Key): string | readonly string[] {
  return typeof key === "string" ? key : key.parts;
}

/** The key that an argument names. */
export function parseKey(word: string, literal: boolean): Key {
  if (literal) return word;
  try {
    return decodeKey(word);
  } catch {
    return word;
  }
}

/** The keys that arguments name, in this order. */
export function keysOf(call: Call, words: readonly string[]): Key[] {
  return words.map((word) => parseKey(word, call.options.has("literal")));
}

/** @throws `Failure` if a key holds nothing; the message suggests the nearest key. */
export async function requireKeys(
  { store }: DataSet,
  keys: readonly Key[],
  signal: AbortSignal,
): Promise<void> {
  const sizes = await sizesOf(store, keys, { signal });
  for (const [i, key] of keys.entries()) {
    if (sizes[i] !== 0) continue;
    const shown = showKey(key);
    const names: string[] = [];
    for await (const other of store.keys({ signal })) {
      if (names.length < MOST_COMPARED) names.push(showKey(other));
    }
    const near = nearest(shown, names);
    throw new Failure(
      `there is no key ${shown}${near === undefined ? "" : `; did you mean ${near}?`}`,
    );
  }
}

/** How many keys are compared with a mistyped one. */
const MOST_COMPARED = 100_000;
