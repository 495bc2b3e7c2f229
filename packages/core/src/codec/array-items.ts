/**
 * Whether the enumerable properties of an array are exactly its items: no other fields, no holes,
 * no item that is not enumerable. `Object.keys` lists indices first, in order.
 */
export function hasItemsAlone(array: readonly unknown[]): boolean {
  const names = Object.keys(array);
  const { length } = array;
  return names.length === length && (length === 0 || names[length - 1] === String(length - 1));
}

/** Whether an array has an enumerable property beside its items. */
export function hasFields(array: readonly unknown[]): boolean {
  return !hasItemsAlone(array) && Object.keys(array).some((name) => !isIndex(name));
}

function isIndex(name: string): boolean {
  const index = Number(name);
  return String(index >>> 0) === name && index < 2 ** 32 - 1;
}
