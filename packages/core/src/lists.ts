/** The items of all lists in one, in time that grows with their sum: how a codec of lists joins. */
export function joinLists<T>(lists: readonly T[][]): T[] {
  if (lists.length === 1) return lists[0] as T[];
  const joined: T[] = [];
  for (const list of lists) for (const item of list) joined.push(item);
  return joined;
}
