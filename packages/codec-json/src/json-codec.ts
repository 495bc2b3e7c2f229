import { type Codec, PartdError } from "@partd/core";
import { joinLists } from "@partd/core/author";
import { describeLoss } from "./loss.js";

/** What JSON can carry. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | JsonValue[]
  | { [name: string]: JsonValue };

/**
 * Lists of JSON values, each list as the UTF-8 text of a JSON array.
 *
 * What `JSON.stringify` would silently change is refused with `ERR_PARTD_CODEC`: `undefined`, also
 * as a property or a hole, functions, symbols, BigInts, NaN and the infinities, cycles, and objects
 * whose content is not in their properties, such as Map, Set, RegExp or a typed array. An object
 * with `toJSON` is what that returns, so a Date reads back as text; any other instance of a class
 * reads back as a plain object of its own enumerable properties, and -0 as 0.
 */
export const jsonCodec: Codec<JsonValue[]> = {
  name: "json",

  encode(list) {
    if (!Array.isArray(list)) throw refuse("it takes a list of JSON values");
    // First the text: it is here that cycles and BigInts are found.
    const text = JSON.stringify(list);
    const loss = describeLoss(list);
    if (loss !== undefined) throw refuse(loss);
    return utf8.encode(text);
  },

  decode(bytes) {
    const list: unknown = JSON.parse(strictUtf8.decode(bytes));
    if (!Array.isArray(list)) throw new Error("it is JSON, but not a list.");
    return list as JsonValue[];
  },

  join: joinLists,
};

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `${reason}.`);
}
