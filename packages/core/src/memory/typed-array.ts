/**
 * What a typed array is, by the getters of all typed arrays: neither its class nor a property of its own can
 * replace them. `classOf` is the name of its built-in class, also of another realm, and `undefined` for all that is
 * no typed array; the others throw for that.
 */
export const classOf = getterOf<string | undefined>(Symbol.toStringTag);
export const bufferOf = getterOf<ArrayBuffer>("buffer");
export const offsetOf = getterOf<number>("byteOffset");
/** In items. */
export const lengthOf = getterOf<number>("length");
export const byteLengthOf = getterOf<number>("byteLength");

/** The bytes of a typed array: a plain array over the same memory, of which everything is true. */
export function viewOf(array: ArrayBufferView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bufferOf.call(array), offsetOf.call(array), byteLengthOf.call(array));
}

function getterOf<T>(name: keyof Uint8Array): (this: unknown) => T {
  const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
  return Object.getOwnPropertyDescriptor(typedArray, name)?.get as (this: unknown) => T;
}
