import { classOf, lengthOf, viewOf } from "../memory/typed-array.js";
import { util } from "./brand.js";

/**
 * Whether a typed array has an enumerable property beside its items, also one named by a symbol: a codec
 * that writes the items alone would lose it.
 *
 * To list the names of a long array takes longer than to write it. Node compares it with a bare array over the
 * same memory in a microsecond: the memory with itself, then the names other than indices. Without Node,
 * only the symbols of arrays of more than 1,024 items are looked at.
 */
export function hasViewFields(view: ArrayBufferView): boolean {
  const length = lengthOf.call(view);
  if (length > FEW_NAMES) {
    const bare = util && bareView(view, length);
    if (bare !== undefined) return !util?.isDeepStrictEqual(view, bare);
  }
  const symbols = Object.getOwnPropertySymbols(view);
  if (symbols.some((name) => isEnumerable.call(view, name))) return true;
  return length <= MANY_NAMES && Object.keys(view).length > length;
}

const { propertyIsEnumerable: isEnumerable } = Object.prototype;

/** Another view of the same memory and class. */
function bareView(view: ArrayBufferView, length: number): Uint8Array | undefined {
  const name = classOf.call(view) as string;
  const Type = (globalThis as unknown as Record<string, Uint8ArrayConstructor>)[name];
  if (Type === undefined) return undefined;
  const { buffer, byteOffset } = viewOf(view);
  const bare = new Type(buffer, byteOffset, length);
  const prototype = Object.getPrototypeOf(view) as object | null;
  return prototype === Type.prototype ? bare : Object.setPrototypeOf(bare, prototype);
}

/** To list up to so many names takes less than a comparison. */
const FEW_NAMES = 16;
const MANY_NAMES = 1024;
