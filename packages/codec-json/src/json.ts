import {
  type Codec,
  Encode,
  type EncodeOptions,
  isPartdError,
  PartdError,
  type Store,
} from "@partd/core";
import {
  allocateEncoded,
  concatBytes,
  ENCODE_OPTIONS,
  joinLists,
  type OptionNames,
  placeOf,
  takeOptions,
} from "@partd/core/author";
import { checkNumbers, parseExact, stringifyExact, withoutTexts } from "./exact-integers.js";
import { LOST, PlainCopier } from "./plain-copier.js";

/** What JSON can carry. BigInts need the option `integers`. */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | JsonValue[]
  | { [name: string]: JsonValue };

export interface JsonOptions {
  /**
   * How integers are read.
   * - `"number"`, the default: as numbers; an integer that would be rounded is `ERR_PARTD_CODEC`.
   * - `"auto"`: as a number within ±(2^53 - 1), else as a BigInt.
   * - `"bigint"`: always as a BigInt.
   *
   * With `"auto"` and `"bigint"`, BigInts can be appended too. With `"auto"` a number beyond that range
   * is written with a fraction, `.0`, and so reads back as a number. A number with a fraction or an
   * exponent is read as the nearest double; one beyond the range of doubles is `ERR_PARTD_CODEC`.
   */
  readonly integers?: "number" | "auto" | "bigint" | undefined;
}

const OPTIONS: OptionNames<JsonOptions & EncodeOptions> = {
  ...ENCODE_OPTIONS,
  integers: ["number", "auto", "bigint"],
};

/**
 * A store of lists of JSON values over a store of bytes: `append` adds a list's items to a key's
 * list, and `get` returns all of them. `stream` yields the lists as they were appended.
 *
 * @typeParam T the item type; reads do not check it.
 * @example new Json<{ delay: number }>(new Dict())
 */
export class Json<T = JsonValue> extends Encode<T[]> {
  constructor(store: Store, options: JsonOptions & EncodeOptions = {}) {
    const taken = takeOptions("new Json", options, OPTIONS, new.target !== Json);
    super(store, jsonCodec(taken) as Codec<unknown[]> as Codec<T[]>, taken);
  }
}

/**
 * Lists of JSON values, each list as the UTF-8 text of a JSON array.
 *
 * `encode` refuses what `JSON.stringify` would silently change, with `ERR_PARTD_CODEC`:
 * `undefined`, also as a property or a hole; functions, symbols, BigInts, NaN and the infinities;
 * cycles; properties whose name is a symbol; properties of arrays beside their items; and objects
 * that keep their content outside their properties, such as Map, Set, RegExp or a typed array. An
 * object with `toJSON` is written as what `toJSON` returns, so a Date reads back as text. Any other
 * class instance reads back as a plain object of its own enumerable properties, and -0 as 0. Each
 * property is read once, and each `toJSON` called once.
 */
export function jsonCodec({ integers = "number" }: JsonOptions = {}): Codec<JsonValue[]> {
  const bigints = integers !== "number";
  return {
    name: "json",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of JSON values");
      const { copy, hasWide } = readOnce(list, bigints);
      if (!Array.isArray(copy)) throw refuse("its toJSON gives something else than a list");
      return encodeText(stringify(copy, bigints, hasWide && integers === "auto") as string);
    },

    decode(bytes) {
      const text = strictUtf8.decode(bytes);
      const list = parse(text, bytes);
      if (!bigints) checkNumbers(list, text, bytes);
      if (!Array.isArray(list))
        throw refuse("it is JSON, but not a list; write a list, also of one item");
      return list as JsonValue[];
    },

    join: joinLists,
  };

  function parse(text: string, bytes: Uint8Array): unknown {
    try {
      return integers === "number" ? JSON.parse(text) : parseExact(text, bytes, integers);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw namedConstant(text, error) ?? jsonLines(text, error) ?? error;
    }
  }
}

/** Python's `json` writes NaN and Infinity, which JSON does not have. */
function namedConstant(text: string, cause: SyntaxError): PartdError | undefined {
  const bare = withoutTexts(text);
  const [constant] = /\b(?:NaN|Infinity)\b/.exec(bare) ?? [];
  if (constant === undefined || !isJson(bare.replaceAll(/-?\b(?:NaN|Infinity)\b/g, "0"))) return;
  return refuse(
    `it holds ${constant}, which JSON does not have; write null for it, in Python with allow_nan=False to find it`,
    cause,
  );
}

/** What many programs write for a list. */
function jsonLines(text: string, cause: SyntaxError): PartdError | undefined {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length < 2 || !lines.every(isJson)) return;
  return refuse("it is JSON by lines; write one list of what is in them", cause);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const utf8 = new TextEncoder();
/** Without a byte order mark, which some programs put in front. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** The text in UTF-8. Most texts are ASCII, whose length is known. */
function encodeText(text: string): Uint8Array {
  const bytes = allocateEncoded(text.length);
  const { read, written } = utf8.encodeInto(text, bytes);
  if (read === text.length) return bytes;
  const rest = utf8.encode(text.slice(read));
  return concatBytes([bytes.subarray(0, written), rest], allocateEncoded);
}

/** Copies the list to plain data. */
function readOnce(
  list: readonly unknown[],
  bigints: boolean,
): { readonly copy: unknown; readonly hasWide: boolean } {
  const copier = new PlainCopier(bigints, () => stringify(list, true));
  let copy: unknown;
  try {
    copy = copier.copy(list);
  } catch (error) {
    throw refusal(list, error);
  }
  if (copy === LOST) throw refuse(`${copier.loss}, which JSON cannot carry`);
  return { copy, hasWide: copier.hasWide };
}

function stringify(list: readonly unknown[], bigints: boolean, wide = false): string | undefined {
  try {
    return bigints ? stringifyExact(list, wide) : JSON.stringify(list);
  } catch (error) {
    throw refusal(list, error);
  }
}

/** The error that names the place of a cycle, or of a getter that throws. */
function refusal(list: readonly unknown[], error: unknown): PartdError {
  if (isPartdError(error)) return error;
  if (error instanceof RangeError) {
    const isDeep = /stack/.test(error.message); // Another try at the parts of a long one would take too long.
    const place = isDeep ? placeOf(list, isUnwritable) : "";
    return refuse(`${place || "it"} is nested too deep, or too long (${error.message})`, error);
  }
  const place = placeOf(list, isUnwritable) || "the list";
  const reason = error instanceof Error ? error.message : String(error);
  return refuse(`${place} is refused: ${reason}`, error);
}

function isUnwritable(part: unknown): boolean {
  try {
    new PlainCopier(true, () => stringifyExact(part)).copy([part]);
    return false;
  } catch {
    return true;
  }
}

function refuse(reason: string, cause?: unknown): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `${reason}.`, { cause });
}
