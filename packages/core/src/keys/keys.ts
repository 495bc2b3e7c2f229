import { PartdError } from "../errors.js";

/** The name of a value: a string, or a {@link Tuple} of strings. Keys compare by value. */
export type Key = string | Tuple;

/** A key, or lists of keys nested to any depth: what `get` and `pop` take. */
export type KeyTree = Key | readonly KeyTree[];

/** Recognises tuples of another copy of this package. */
const brand: unique symbol = Symbol.for("@partd/core/tuple") as never;

/** A key of two or more parts, made by {@link tuple}. Immutable. */
export class Tuple {
  /** Two or more; integers as their decimal text. */
  readonly parts: readonly string[];
  readonly [brand] = true;

  /** Makes a {@link tuple} from a list, for more parts than a call can have arguments. */
  constructor(parts: readonly (string | number)[]) {
    if (parts.length < 2) {
      throw new PartdError(
        "ERR_PARTD_KEY",
        "A tuple needs two or more parts; use a string for one.",
      );
    }
    this.parts = Object.freeze(parts.map(partText));
    Object.freeze(this);
  }

  /** Whether `other` is a tuple of the same parts. */
  equals(other: unknown): boolean {
    return (
      isTuple(other) &&
      other.parts.length === this.parts.length &&
      other.parts.every((part, i) => part === this.parts[i])
    );
  }

  /** The tuple as it would be written in code: `tuple("a", "1")`. */
  toString(): string {
    return `tuple(${this.parts.map((part) => JSON.stringify(part)).join(", ")})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/**
 * Makes a key of several parts, as in `tuple("2024", "JFK")`. It is not a list of keys: an
 * array in `get` is one.
 *
 * @param parts two or more strings or safe integers; a number stands for its decimal text, so
 *   `tuple("a", 1)` and `tuple("a", "1")` are the same key.
 * @throws `ERR_PARTD_KEY` for fewer parts, or for parts of another type.
 */
export function tuple(...parts: readonly (string | number)[]): Tuple {
  return new Tuple(parts);
}

/** Whether `value` is a {@link Tuple}. */
export function isTuple(value: unknown): value is Tuple {
  return typeof value === "object" && value !== null && brand in value;
}

/** Whether two keys name the same value. */
export function sameKey(a: Key, b: Key): boolean {
  return typeof a === "string" ? a === b : a.equals(b);
}

/**
 * Encodes a key to the one text form that every store uses. Distinct keys have distinct texts, and
 * each text is a relative path of plain names that stays inside a directory.
 *
 * Bytes of `-_.() A-Z a-z 0-9` stand as they are and every other byte of the UTF-8 text is `%XX`; a
 * tuple's parts are joined by `/`. An empty part is `%`. A dot is escaped where the name would
 * otherwise be `.` or `..`, or one that stores keep for themselves (`.partd…`, `.lock`). For keys
 * of plain characters this is the file name that Python's partd uses.
 *
 * @throws `ERR_PARTD_KEY` if `key` is not a key, or holds a lone surrogate.
 */
export function encodeKey(key: Key): string {
  if (typeof key === "string") return PLAIN.test(key) ? key : encodePart(key);
  if (isTuple(key)) return partsOf(key).map(encodePart).join("/");
  throw new PartdError(
    "ERR_PARTD_KEY",
    `A key is a string or a tuple(…), not ${describeValue(key)}.`,
  );
}

/**
 * Decodes a text that {@link encodeKey} made.
 *
 * @throws `ERR_PARTD_KEY` if no key has this text.
 */
export function decodeKey(text: string): Key {
  if (PLAIN.test(text)) return text;
  const parts = text.split("/").map(decodePart);
  const key = parts.length === 1 ? (parts[0] as string) : new Tuple(parts);
  if (encodeKey(key) !== text) throw notEncoded(text);
  return key;
}

/**
 * Appends `term` to the last part of a key, to name a companion of its value: `"x"` becomes
 * `"x.dtype"`, and `tuple("a", "x")` becomes `tuple("a", "x.dtype")`.
 */
export function suffixKey(key: Key, term: string): Key {
  if (typeof key === "string") return key + term;
  const parts = [...key.parts];
  parts[parts.length - 1] += term;
  return new Tuple(parts);
}

/** A key for an error message: quoted, and shortened where it is long. */
export function describeKey(key: Key): string {
  const text = typeof key === "string" ? JSON.stringify(key) : String(key);
  return text.length <= 120 ? text : `${text.slice(0, 100)}… (${text.length} characters)`;
}

/** Matches most keys: nothing to escape, no dot in front. This is the fast path. */
const PLAIN = /^[-_() A-Za-z0-9][-_.() A-Za-z0-9]*$/;
const SAFE = /^[-_.() A-Za-z0-9]*$/;
const UNSAFE_RUN = /[^-_.() A-Za-z0-9]+/g;
/** Names that mean something to a file system or to the stores themselves. */
const RESERVED = /^(?:\.\.?$|\.partd|\.lock$)/;
const EMPTY = "%";

/** @throws `ERR_PARTD_KEY` for an object that only claims to be a tuple. */
function partsOf({ parts }: Tuple): readonly string[] {
  const isMade = Array.isArray(parts) && parts.length >= 2;
  if (isMade && parts.every((part) => typeof part === "string")) return parts;
  throw new PartdError(
    "ERR_PARTD_KEY",
    "This is no tuple of two or more parts; make it by tuple(…).",
  );
}

function encodePart(part: string): string {
  if (part === "") return EMPTY;
  if (!part.isWellFormed()) {
    throw new PartdError(
      "ERR_PARTD_KEY",
      `The key ${describeKey(part)} holds a lone surrogate and has no UTF-8 form; replace it, for example with toWellFormed().`,
      { key: part },
    );
  }
  const text = SAFE.test(part) ? part : part.replace(UNSAFE_RUN, percentBytes);
  if (!RESERVED.test(text)) return text;
  return text === ".." ? "%2E%2E" : `%2E${text.slice(1)}`;
}

function decodePart(text: string): string {
  if (text === EMPTY) return "";
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw notEncoded(text, cause);
  }
}

const utf8 = new TextEncoder();

function percentBytes(run: string): string {
  let text = "";
  for (const byte of utf8.encode(run)) {
    text += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

function partText(part: string | number): string {
  if (typeof part === "string") return part;
  if (Number.isSafeInteger(part)) return String(part === 0 ? 0 : part);
  throw new PartdError(
    "ERR_PARTD_KEY",
    `A tuple's parts are strings or safe integers, not ${describeValue(part)}.`,
  );
}

function notEncoded(text: string, cause?: unknown): PartdError {
  return new PartdError("ERR_PARTD_KEY", `${JSON.stringify(text)} is not an encoded key.`, {
    cause,
  });
}

function describeValue(value: unknown): string {
  if (Array.isArray(value)) return "an array (which in get is a list of keys)";
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" ? "an object" : `${typeof value} ${String(value)}`;
}

/**
 * Copies a text that is kept: V8 slices a long string without copying, and such a slice would keep
 * the whole of it alive.
 */
export function keptText(text: string): string {
  // V8 copies shorter slices anyway. Encoded keys are ASCII.
  if (text.length < SHORTEST_SLICE) return text;
  if (text.length > MOST_CODES) return copyLong(text);
  const codes = new Array<number>(text.length);
  for (let i = 0; i < text.length; i++) codes[i] = text.charCodeAt(i);
  return String.fromCharCode.apply(undefined, codes);
}

function copyLong(text: string): string {
  let copy = "";
  for (let i = 0; i < text.length; i += MOST_CODES) {
    copy += keptText(text.slice(i, i + MOST_CODES));
  }
  return copy;
}

const SHORTEST_SLICE = 13;
/** The most arguments of one call. */
const MOST_CODES = 4096;
