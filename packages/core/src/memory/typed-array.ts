/**
 * Getters that all typed arrays share, which neither a subclass nor an own property can replace.
 * `classOf` returns the name of the built-in class, also for an array of another realm, and `undefined`
 * for anything but a typed array; the others throw for that.
 */
export const classOf = getterOf<string | undefined>(Symbol.toStringTag);
export const bufferOf = getterOf<ArrayBuffer>("buffer");
export const offsetOf = getterOf<number>("byteOffset");
/** In items. */
export const lengthOf = getterOf<number>("length");
export const byteLengthOf = getterOf<number>("byteLength");

/** A plain Uint8Array over the memory of a typed array, whose properties and methods can be trusted. */
export function viewOf(array: ArrayBufferView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bufferOf.call(array), offsetOf.call(array), byteLengthOf.call(array));
}

function getterOf<T>(name: keyof Uint8Array): (this: unknown) => T {
  const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
  return Object.getOwnPropertyDescriptor(typedArray, name)?.get as (this: unknown) => T;
}
